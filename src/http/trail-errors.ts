import type { AuditFailure, TrailFailure } from '../failures.ts';
import type { Answer } from './wire-errors.ts';

/** What a caller hears of the trail, its log and its deliveries that do not give what they were asked for. */
export function trailError({ kind }: Exclude<TrailFailure, AuditFailure>): Answer {
  switch (kind) {
    case 'delivery_not_found':
      return { status: 404, message: 'There is no such delivery or revocation, or it is not within your reach.' };
    case 'audit_event_not_found':
      return { status: 404, message: 'There is no such event in the trail.' };
    case 'sealing_not_configured':
      return {
        status: 503,
        message:
          'The trail of this service is not sealed. Its operators switch that on with `npm run setup`, which makes the secret TRAIL_KEY.',
      };
    case 'not_sealed':
      return {
        status: 409,
        message: 'The event is not sealed yet. That takes some two minutes. Ask again after "Retry-After".',
        headers: { 'Retry-After': '60' },
      };
    case 'log_not_stopped':
      return {
        status: 409,
        message:
          'The log of the trail is not stopped, so there is nothing to resume. GET /api/v1/audit/log shows how it is.',
      };
    case 'log_file_not_found':
      return {
        status: 404,
        message:
          'There is no such log, or no checkpoint of it that was published covers such a file. GET /api/v1/audit/log shows what there is.',
      };
    case 'log_damaged':
      return {
        status: 500,
        message:
          'What is stored of the log does not lead to its signed checkpoint, so nothing of it is handed out. Tell the operators of this service the request id, and keep the checkpoints that you have.',
      };
  }
}

import type { Purpose } from './quota-windows.ts';
import type { CreateCommand, UpdateCommand } from './types.ts';

/**
 * The body of a create, in the form that PipeOps' CLI sends. Its controller reads `scopes`, its SDK sends `permissions`: a name
 * that is not read would be a token without scopes, or with those of a default, so both go out with the same value.
 */
export const createBody = (command: CreateCommand): Readonly<Record<string, unknown>> => ({
  name: command.name,
  workspace_uuid: command.workspaceUuid,
  scopes: command.scopes,
  permissions: command.scopes,
  ...(command.description !== null && { metadata: { description: command.description } }),
  ...(command.expiresAt !== null && { expires_at: command.expiresAt }),
});

/**
 * The body of an update; what is absent stays as it is.
 *
 * PipeOps' SDK and CLI send `permissions` here, while its controller reads `scopes` on create and answers `scopes`. A
 * name that it does not read would be a narrowing that never happened, so both go out with the same value.
 */
export const updateBody = (command: UpdateCommand): Readonly<Record<string, unknown>> => ({
  ...(command.name !== undefined && { name: command.name }),
  ...(command.description !== undefined && { description: command.description }),
  ...(command.scopes !== undefined && { permissions: command.scopes, scopes: command.scopes }),
  ...(command.isActive !== undefined && { is_active: command.isActive }),
});

/** An update that only suspends takes access away, as a revoke does. */
export const purposeOf = (command: UpdateCommand): Purpose =>
  command.isActive === false && Object.keys(command).length === 1 ? 'revocation' : 'change';

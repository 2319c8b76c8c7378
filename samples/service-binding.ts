import { withToken } from './fetch.ts';

// A Worker of the same Cloudflare account reaches Countersign by a service binding, past the public network. In its wrangler.toml:
//
//     [[services]]
//     binding = "COUNTERSIGN"
//     service = "countersign"

interface Env {
  readonly COUNTERSIGN: { readonly fetch: typeof fetch };
}

export default {
  /** Does a job for its caller, under a token of the caller's own: the JWT that came with the request goes on to Countersign. */
  async fetch(request: Request, env: Env): Promise<Response> {
    const jwt = request.headers.get('Authorization')?.replace(/^Bearer /, '') ?? '';
    const send: typeof fetch = async (input, init) => await env.COUNTERSIGN.fetch(input, init);
    // The binding decides where the request goes, so any host will do.
    const length = await withToken(send, 'https://countersign', jwt, async (secret) => secret.length);
    return Response.json({ length });
  },
};

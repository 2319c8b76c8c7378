/** What Cloudflare gives an isolate. */
const ISOLATE_MAX_MB = 128;

/**
 * Makes V8 keep to that, and end the process where an isolate needs more. Left to itself it goes by the machine's memory: then its
 * heaps grow for half an hour, and how much garbage lies in them is chance. For what looks at memory, in miniflare's
 * `MINIFLARE_WORKERD_V8_FLAGS`.
 */
export const ISOLATE_HEAP_FLAG = `--max-heap-size=${ISOLATE_MAX_MB}`;

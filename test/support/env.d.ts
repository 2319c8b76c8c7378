import type { D1Migration } from '@cloudflare/vitest-plugin/types';

declare global {
  namespace Cloudflare {
    interface Env {
      DB: D1Database;
      TRAIL: R2Bucket;
      CALLER_LIMIT: RateLimit;
      REJECTIONS_PER_ADDRESS: RateLimit;
      REJECTIONS_IN_ALL: RateLimit;
      TEST_MIGRATIONS: D1Migration[];
    }
  }
}

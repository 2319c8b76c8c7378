export const ISSUER = 'https://issuer.example';
export const AUDIENCE = 'countersign';

/** Where lists are taken. */
export const LIST_WORKSPACE = '5877a4ae-0000-4000-8000-00000000000a';

export const TOKENS_PATH = '/api/v1/service-account-tokens';
/** Such as PipeOps understands as well: the same request goes to everything that is measured. */
export const LIST_PATH = `${TOKENS_PATH}?workspace_uuid=${LIST_WORKSPACE}`;
/** The subject of a caller who takes all that it can get. */
export const GREEDY = 'app-0';

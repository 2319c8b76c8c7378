// The client of Countersign, as an app imports it: `countersign/client`.
export { createClient, type Client, type CreateOptions, type RotateOptions } from './client.ts';
export { CountersignError, type Answered, type ClientFailure, type Failure, type ServiceFailure } from './failure.ts';
export type { JwtNeed, JwtSource } from './jwt.ts';
export type * from './requests.ts';
export type { Answer, CallOptions, ClientOptions, Fetch, FetchInit, Retry } from './transport.ts';
export type * from './types.ts';
export type * from './vocabulary.ts';

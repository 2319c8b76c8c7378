/** A JSON object, its values not looked at yet. */
export type Fields = Readonly<Record<string, unknown>>;

export { isObject as isFields } from '../kit/json.ts';

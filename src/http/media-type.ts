/**
 * Whether a request says that its body is JSON in UTF-8 (RFC 8259 §8.1), not compressed: `application/json`, with any
 * parameters but another `charset`.
 */
export function isJson(headers: Headers): boolean {
  const [essence = '', ...parameters] = (headers.get('Content-Type') ?? '').split(';').map((part) => part.trim());
  // RFC 9110 §8.4: a coding that we do not undo makes it another type of body.
  const coding = headers.get('Content-Encoding') ?? 'identity';
  return (
    essence.toLowerCase() === 'application/json' &&
    parameters.every((parameter) => !/^charset=/i.test(parameter) || /^charset=("?)utf-8\1$/i.test(parameter)) &&
    coding.toLowerCase() === 'identity'
  );
}

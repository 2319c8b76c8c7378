/** A request as it goes over the wire, made once and sent often. */
export function requestBytes(
  method: string,
  pathAndQuery: string,
  headers: Readonly<Record<string, string>>,
  body?: object,
): Buffer {
  const json = body === undefined ? '' : JSON.stringify(body);
  const lines = [
    `${method} ${pathAndQuery} HTTP/1.1`,
    'Host: 127.0.0.1',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(json)}`]),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${json}`);
}

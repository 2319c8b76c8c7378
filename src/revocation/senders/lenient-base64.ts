const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The bytes of base64 with its padding (RFC 4648 §4); null for anything else, an empty text too. */
export const decodeBase64 = (text: string): Uint8Array | null =>
  text !== '' && BASE64.test(text) ? Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0)) : null;

/** A PipeOps secret is longer than the beginning that PipeOps shows of it; a JWT begins with `{"` in base64 and has dots. */
const SECRET = /sat_[A-Za-z0-9_+/=.~-]{12}|eyJ[A-Za-z0-9_-]{8,}\./;

/** Whether a text holds a secret, which reaches neither the address nor the service. */
export const holdsSecret = (text: string): boolean => SECRET.test(text);

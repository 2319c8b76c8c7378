/** Every secret that a test file caused to exist, and every text in which none of them may stand. */
const secrets = new Set<string>();
const texts: { readonly where: string; readonly text: string }[] = [];

/** Registers a secret: the whole of it and, for a JWT, its signature by itself. */
export function noteSecret(secret: string): void {
  if (secret.length < 12) return;
  secrets.add(secret);
  const signature = /^[^.]+\.[^.]+\.([^.]{12,})$/.exec(secret)?.[1];
  if (signature !== undefined) secrets.add(signature);
}

/** Registers something that left the service, or stayed behind in it. */
export function noteText(where: string, text: string): void {
  texts.push({ where, text });
}

/**
 * Where secrets were found, and which kind; never the secret itself. Forgets all of it: files share this module, and
 * what they share would be searched again after each of them.
 */
export function findSecrets(): string[] {
  const found = secretsIn(texts, secrets);
  secrets.clear();
  texts.length = 0;
  return found;
}

/**
 * The search itself, on what it is given. A file may note thousands of secrets and as many texts, so all texts are searched as one, and
 * each by itself only for a secret that is somewhere in them.
 */
export function secretsIn(
  searched: readonly { readonly where: string; readonly text: string }[],
  sought: ReadonlySet<string>,
): string[] {
  const all = searched.map(({ text }) => text).join('\n');
  const leaked = [...sought].filter((secret) => all.includes(secret));
  const found = new Set<string>();
  for (const { where, text } of searched) {
    for (const secret of leaked) if (text.includes(secret)) found.add(`${where} holds ${secret.slice(0, 4)}…`);
  }
  return [...found];
}

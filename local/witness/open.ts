import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import path from 'node:path';
import * as z from 'zod';
import {
  createSigner,
  parsePrivateKey,
  privateKeyText,
  type Signer,
  type Verifier,
  verifierText,
} from '../../src/tlog/note.ts';
import { ADD_CHECKPOINT } from '../../src/tlog/witnessing.ts';
import { UserError } from '../errors.ts';
import { assertPortIsFree, LOOPBACK } from '../ports.ts';
import { openSecretFile } from '../secrets.ts';
import { readStateFile } from '../state-dir.ts';
import { type AddCheckpoint, createWitness, type Seen } from './witness.ts';

/** The name of a local witness. */
const NAME = 'localhost/witness';
/** A checkpoint, a proof of 63 hashes and room for many signatures. */
const BODY_MAX_BYTES = 64 * 1024;

export interface LocalWitness {
  /** The value of TRAIL_WITNESSES that names it. */
  readonly setting: string;
  /** What its cosignatures are checked with. */
  readonly verifierKey: string;
  readonly close: () => Promise<void>;
}

export interface LocalWitnessOptions {
  readonly port: number;
  readonly stateDir: string;
  /** The TRAIL_KEY of the log that it knows. */
  readonly trailKey: string;
}

/**
 * Starts a witness of a local run. It has a key of its own, and remembers in a file what it has seen: a database that is put back to an
 * earlier state does not put the witness back.
 *
 * @throws UserError if its port is taken, or its files are damaged.
 */
export async function openWitness({ port, stateDir, trailKey }: LocalWitnessOptions): Promise<LocalWitness> {
  await assertPortIsFree(port, 'WITNESS_PORT');
  const signer = await openSigner(path.join(stateDir, 'witness-key'));
  const file = path.join(stateDir, 'witness.json');
  const seen = readSeen(file);
  const logs = [await verifierOfLog(trailKey)];
  const witness = createWitness({ signer, logs, seen, persist: () => writeSeen(file, seen), now: Date.now });
  const server = serve(witness);
  await once(server.listen({ port, host: LOOPBACK, exclusive: true }), 'listening');
  const verifierKey = verifierText(signer.verifier);
  return {
    setting: `http://${LOOPBACK}:${port} ${verifierKey}`,
    verifierKey,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function verifierOfLog(trailKey: string): Promise<Verifier> {
  const key = parsePrivateKey(trailKey);
  if (key?.kind === 'log') return (await createSigner(key)).verifier;
  throw new UserError('The key of the log is damaged. Delete the file trail-key: the next start makes a new one.');
}

async function openSigner(file: string): Promise<Signer> {
  const text = await openSecretFile(
    file,
    async () => `${await privateKeyText('witness', NAME, Uint8Array.from(randomBytes(32)))}\n`,
  );
  const key = parsePrivateKey(text.trim());
  if (key?.kind === 'witness') return await createSigner(key);
  throw new UserError(`${file} is damaged: it holds no key of a witness. Delete it: the next start makes a new one.`);
}

const SeenFile = z.record(z.string(), z.object({ size: z.int().min(0), root: z.base64() }));

/** What the witness has seen. A file that cannot be read is not taken for an empty one: the witness would vouch for any log then. */
function readSeen(file: string): Map<string, Seen> {
  const text = readStateFile(file);
  if (text === null) return new Map();
  try {
    const logs = Object.entries(SeenFile.parse(JSON.parse(text)));
    return new Map(
      logs.map(([origin, { size, root }]) => [origin, { size, root: Uint8Array.from(Buffer.from(root, 'base64')) }]),
    );
  } catch (error) {
    throw new UserError(`${file} is damaged. Move it away: the witness then begins anew with what it is shown next.`, {
      cause: error,
    });
  }
}

/** Replaces the file in one step, and is on the disk before it returns: what was signed must not be forgotten. */
function writeSeen(file: string, seen: ReadonlyMap<string, Seen>): void {
  const logs = [...seen].map(([origin, { size, root }]) => [
    origin,
    { size, root: Buffer.from(root).toString('base64') },
  ]);
  const draft = `${file}.draft`;
  const descriptor = openSync(draft, 'w', 0o600);
  try {
    writeFileSync(descriptor, `${JSON.stringify(Object.fromEntries(logs))}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  renameSync(draft, file);
}

function serve(addCheckpoint: AddCheckpoint): Server {
  return createServer((request, response) => {
    const answer = (status: number, body: string, contentType = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'Content-Type': contentType }).end(body);
    };
    if (request.method !== 'POST' || request.url !== ADD_CHECKPOINT) {
      answer(404, `A witness takes POST ${ADD_CHECKPOINT}.\n`);
      return;
    }
    void (async () => {
      try {
        const body = await bodyOf(request);
        if (body === null) {
          response.setHeader('Connection', 'close');
          answer(413, 'The body is too large.\n');
          return;
        }
        const { status, contentType, body: text } = await addCheckpoint(body);
        answer(status, text, contentType);
      } catch {
        // The disk is full, or the sender has gone.
        answer(500, 'The witness cannot keep what it would sign.\n');
      }
    })();
  });
}

/** Null: it is too large. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX_BYTES) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

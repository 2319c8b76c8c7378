import { sized } from './quick.ts';
import { workspaceUuid, type Distance, type SeededWorkspace, type TargetName } from './targets.ts';

export type Operation = 'list' | 'get' | 'create' | 'revoke';

/** What is done under one load, over one distance. */
export interface Scenario {
  /** One word or two, for the tables. */
  readonly name: string;
  readonly distance: Distance;
  /** So many connections that each wait for their answers, or requests that arrive at random, so many a second. */
  readonly load: { readonly connections: number } | { readonly perSecond: number };
  /** One after the other; tokens that a create made are those that a revoke revokes. */
  readonly operations: readonly Operation[];
  readonly workspaces: readonly SeededWorkspace[];
  readonly callersOfEach: number;
  readonly targets: readonly TargetName[];
  /** Those that count. */
  readonly rounds: number;
  /** How long a target is under load in a round, for each operation. */
  readonly seconds: number;
  /** The same of ours, where a round has to show what becomes of a list from one fetch to the next, 15 s later. */
  readonly oursSeconds?: number;
  /** An open loop goes on for so long before it counts. */
  readonly leadSeconds: number;
}

const seconds = (full: number): number => sized(full, 0.4);
const rounds = (full: number): number => sized(full, 1);

const tokenId = (workspace: number, index: number): string =>
  `${String(workspace).padStart(8, '0')}-0000-4000-8000-${String(index).padStart(12, '0')}`;

const workspaceOf = (index: number, tokens: number): SeededWorkspace => ({
  uuid: workspaceUuid(index),
  tokenIds: Array.from({ length: tokens }, (_token, token) => tokenId(index, token)),
});

const MANY = Array.from({ length: sized(500, 20) }, (_workspace, index) => workspaceOf(index, 20));
const ONE = MANY.slice(0, 1);
const SIXTEEN = MANY.slice(0, 16);
const OF_1000_TOKENS = [workspaceOf(800_000, 1_000)];
const OF_5000_TOKENS = [workspaceOf(800_001, 5_000)];
/** All that a run of the scenarios finds in PipeOps. */
export const SEEDED = [...MANY, ...OF_1000_TOKENS, ...OF_5000_TOKENS];

/** As many apps of a company as manage tokens in a workspace. */
const CALLERS = 20;
/** In 500 workspaces each has two of its own. */
export const CALLERS_IN_ALL = 2 * MANY.length;

const LOCAL: Distance = { d1Ms: 0, pipeopsMs: 0 };
const far = (d1Ms: number): Distance => ({ d1Ms, pipeopsMs: 100 });
const ALL: readonly TargetName[] = ['ours', '(a)', '(b)'];
const OURS_AND_A: readonly TargetName[] = ['ours', '(a)'];
const USUAL = { workspaces: ONE, callersOfEach: CALLERS, targets: ALL, leadSeconds: seconds(1) } as const;
/** From one fetch of a list to the next. */
const LIST_LIFE = seconds(15);

const alone = (d1Ms: number, full: { readonly rounds: number; readonly seconds: number }): Scenario => ({
  ...USUAL,
  name: 'one at a time',
  distance: far(d1Ms),
  load: { connections: 1 },
  operations: ['list', 'get', 'create', 'revoke'],
  rounds: rounds(full.rounds),
  seconds: seconds(full.seconds),
});

const local = (connections: number): Scenario => ({
  ...USUAL,
  name: `${connections} connections`,
  distance: LOCAL,
  load: { connections },
  operations: ['list'],
  rounds: rounds(5),
  seconds: seconds(1.5),
});

const arriving = (perSecond: number, d1Ms: number, rest: Partial<Scenario> & Pick<Scenario, 'rounds'>): Scenario => ({
  ...USUAL,
  name: `${perSecond} a second`,
  distance: far(d1Ms),
  load: { perSecond },
  operations: ['list'],
  targets: OURS_AND_A,
  seconds: seconds(4),
  oursSeconds: LIST_LIFE,
  ...rest,
});

const longList = (workspaces: readonly SeededWorkspace[]): Scenario => ({
  ...alone(25, { rounds: 2, seconds: 1.5 }),
  name: `one at a time, ${workspaces[0]?.tokenIds.length} tokens`,
  operations: ['list'],
  workspaces,
});

/** What a user may meet: each is a row of tables, for each of its operations. */
export const SCENARIOS = {
  localOne: {
    ...local(1),
    name: 'one at a time',
    operations: ['list', 'get', 'create', 'revoke'],
    seconds: seconds(0.6),
  },
  local16: local(16),
  local64: local(64),
  near: alone(5, { rounds: 2, seconds: 0.8 }),
  usual: alone(25, { rounds: 3, seconds: 1.2 }),
  distant: alone(100, { rounds: 2, seconds: 1.2 }),
  longer: longList(OF_1000_TOKENS),
  longest: longList(OF_5000_TOKENS),
  usual64: { ...local(64), distance: far(25), rounds: rounds(2), seconds: seconds(2.5) },
  lists300: arriving(300, 25, { targets: ALL, rounds: rounds(3) }),
  distantLists300: arriving(300, 100, { rounds: rounds(2) }),
  nearLists300: arriving(300, 5, { rounds: rounds(1) }),
  all100: arriving(100, 25, {
    operations: ['list', 'get', 'create', 'revoke'],
    rounds: rounds(1),
    oursSeconds: seconds(4),
  }),
  sixteen: arriving(300, 25, { name: '300 a second, 16 workspaces', workspaces: SIXTEEN, rounds: rounds(1) }),
  fiveHundred: {
    ...arriving(150, 25, { name: `150 a second, ${MANY.length} workspaces`, workspaces: MANY, rounds: rounds(2) }),
    callersOfEach: 2,
    leadSeconds: seconds(5),
  },
} as const satisfies Readonly<Record<string, Scenario>>;

export type ScenarioName = keyof typeof SCENARIOS;

// What verifying comes to: four verdicts, and what is wrong.

export const TOPICS = ['integrity', 'completeness', 'freshness', 'witnessed'] as const;
export type Topic = (typeof TOPICS)[number];

/** `unknown`: what there is to judge by does not decide it. */
export type Judgement = 'good' | 'wrong' | 'unknown';

/** Each way in which a trail or its log can be wrong, or cannot be judged, and the verdict that it is a matter of. */
const FAULTS = {
  nothing_sealed: 'integrity',
  not_signed: 'integrity',
  key_lost: 'integrity',
  handover_not_signed: 'integrity',
  log_malformed: 'integrity',
  chain_broken: 'integrity',
  root_differs: 'integrity',
  entry_changed: 'integrity',
  tile_differs: 'integrity',
  forked: 'integrity',
  state_not_signed: 'integrity',
  fact_out_of_place: 'integrity',
  unauthentic: 'integrity',
  row_changed: 'integrity',
  row_malformed: 'integrity',
  entry_not_understood: 'integrity',
  entries_absent: 'integrity',
  rolled_back: 'completeness',
  log_absent: 'completeness',
  row_dropped: 'completeness',
  not_dense: 'completeness',
  row_repeated: 'completeness',
  row_in_gap: 'completeness',
  row_not_sealed: 'completeness',
  settlement_not_sealed: 'completeness',
  never_settled: 'completeness',
  export_cut: 'completeness',
  export_held: 'completeness',
  log_stopped: 'freshness',
  sealing_late: 'freshness',
  cosignature_bad: 'witnessed',
  not_cosigned: 'witnessed',
  cosigned_long_ago: 'witnessed',
} as const satisfies Readonly<Record<string, Topic>>;
export type FaultKind = keyof typeof FAULTS;

/** Kinds that are about an event. What is wrong with a log as a whole is told before them. */
const OF_EVENTS: readonly FaultKind[] = [
  'fact_out_of_place',
  'unauthentic',
  'row_changed',
  'row_dropped',
  'not_dense',
  'row_repeated',
  'row_in_gap',
  'row_not_sealed',
  'settlement_not_sealed',
  'never_settled',
];

export const topicOf = (kind: FaultKind): Topic => FAULTS[kind];

export interface Fault {
  readonly kind: FaultKind;
  readonly judgement: Exclude<Judgement, 'good'>;
  /** What is the matter, in whole sentences. */
  readonly message: string;
  /** The event that it is about. */
  readonly seq: number | null;
  readonly id: string | null;
  /** The column that differs, such as `actor.label`, and both values, shortened. */
  readonly difference: Difference | null;
}

export interface Difference {
  readonly field: string;
  readonly sealed: string;
  readonly exported: string;
}

/** A fault and how many there are of its kind. */
export interface Counted {
  readonly fault: Fault;
  readonly count: number;
}

/** Collects what is found. Of each kind it keeps the one of the earliest event, so that a million faults take no memory. */
export function createFindings() {
  const kinds = new Map<string, Counted>();
  const remarks: string[] = [];

  const add = (
    kind: FaultKind,
    message: string,
    about: Partial<Omit<Fault, 'kind' | 'message'>> = {},
    count = 1,
  ): void => {
    const fault: Fault = { kind, message, judgement: 'wrong', seq: null, id: null, difference: null, ...about };
    const key = `${kind} ${fault.judgement}`;
    const known = kinds.get(key);
    const isFirst = known === undefined || (fault.seq ?? Infinity) < (known.fault.seq ?? Infinity);
    kinds.set(key, { fault: isFirst ? fault : known.fault, count: (known?.count ?? 0) + count });
  };

  return {
    add,
    /** Something that is right and that an auditor should know of. */
    remark: (text: string): void => void remarks.push(text),
    remarks: (): readonly string[] => remarks,
    /** All kinds of fault: what is wrong first, of that what a log as a whole is about, and then the earliest event. */
    faults: (): readonly Counted[] =>
      [...kinds.values()].toSorted(
        ({ fault: one }, { fault: other }) =>
          Number(one.judgement === 'unknown') - Number(other.judgement === 'unknown') ||
          Number(OF_EVENTS.includes(one.kind)) - Number(OF_EVENTS.includes(other.kind)) ||
          (one.seq ?? -1) - (other.seq ?? -1),
      ),
  };
}
export type Findings = ReturnType<typeof createFindings>;

export interface Verdict {
  readonly judgement: Judgement;
  readonly because: string;
}
export type Verdicts = Partial<Readonly<Record<Topic, Verdict>>>;

/**
 * The verdicts on what was found.
 *
 * @param good what is to be said of each matter that is judged, where nothing is the matter.
 */
export function verdictsOf(findings: Findings, good: Partial<Readonly<Record<Topic, string>>>): Verdicts {
  const verdicts: Partial<Record<Topic, Verdict>> = {};
  for (const topic of TOPICS) {
    const because = good[topic];
    const first = findings.faults().find(({ fault }) => topicOf(fault.kind) === topic);
    if (first !== undefined) verdicts[topic] = { judgement: first.fault.judgement, because: first.fault.message };
    else if (because !== undefined) verdicts[topic] = { judgement: 'good', because };
  }
  return verdicts;
}

/** The exit code: 0 all is good, 1 something is wrong, 2 nothing is wrong and something cannot be told. */
export function exitCodeOf(verdicts: Verdicts): 0 | 1 | 2 {
  const judgements = Object.values(verdicts).map(({ judgement }) => judgement);
  if (judgements.includes('wrong')) return 1;
  return judgements.includes('unknown') ? 2 : 0;
}

/** What one request costs beyond its own computing. */
export interface Cost {
  /** D1 round trips begun by the time of the answer. */
  readonly trips: number;
  /** The same, with those of what goes on after the answer. */
  readonly tripsInAll: number;
  readonly statements: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly pipeopsCalls: number;
}

/** The header in which the Worker of the benchmark tells it, as JSON. */
export const COST_HEADER = 'X-Bench-Cost';

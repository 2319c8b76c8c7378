import { CRON_SHARES, ORDERS_REQUEST_SHARE } from '../../src/config/limits.ts';
import type { Finding } from '../../src/config/problems.ts';
import type { Examination } from './examine.ts';

/** Workers Free and Workers Paid: D1 queries that one invocation may make (developers.cloudflare.com/d1/platform/limits). */
const FREE_PLAN_QUERIES = 50;
const PAID_PLAN_QUERIES = 1_000;

/** What the doctor prints: what is fine, each finding with what would be right, and notes. */
export function reportLines({ fine, findings, notes }: Examination): readonly string[] {
  return [
    ...fine.map((line) => `ok       ${line}`),
    ...findings.flatMap(({ severity, key, problem, example }) => [
      `${severity.padEnd(8)} ${key} ${problem}`,
      `         correct: ${example}`,
    ]),
    ...[...notes, PLAN].map((line) => `note     ${line}`),
    `${count(findings, 'problem')}, ${count(findings, 'warning')}.`,
  ];
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

const CRON_QUERIES = sum(Object.values(CRON_SHARES).map(({ d1Queries }) => d1Queries));
const PLAN = `A deployment needs Workers Paid: one run of the cron may make ${Math.max(CRON_QUERIES, ORDERS_REQUEST_SHARE.d1Queries)} D1 queries. Workers Free allows ${FREE_PLAN_QUERIES} in an invocation, Workers Paid ${PAID_PLAN_QUERIES}.`;

function count(findings: readonly Finding[], severity: Finding['severity']): string {
  const found = findings.filter((finding) => finding.severity === severity).length;
  return `${found === 0 ? 'no' : found} ${severity}${found === 1 ? '' : 's'}`;
}

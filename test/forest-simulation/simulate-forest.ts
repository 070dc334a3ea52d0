/**
 * `npm run simulate:forest`: runs random programs on forests on every core for so many seconds, or
 * one of them again.
 *
 * It only reads the command line, deals out the programs and says what became of them
 * (`campaign.ts`).
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { commandLine, refused, show } from '../support/command-line.ts';
import '../support/strict.ts';
import {
  type CampaignCounts,
  type FailedProgram,
  noCounts,
  runPlan,
  runSeed,
  shortened,
  sumOf,
  usual,
} from './campaign.ts';
import { type LeftOut, leftOuts } from './model/plan.ts';
import { coverageTable, notReached } from './world/reached.ts';

const help = `npm run simulate:forest -- [options]

Runs random programs on a forest, on every core: transactions in flight together, held views that are
compared with a model, calls that fail, power cuts.

  --seconds N      how long (60)
  --seed N         which programs: the same seed, the same programs (from the clock if absent)
  --workers N      on how many threads (as many as there are cores)
  --program N      this program only, as a failure names it
  --replay FILE    this plan only, as a failure has written it
  --keep-going     goes on after a failure, and shortens one of each class
  --coverage       says in the end how often programs reached each thing that is counted
  --leave-out A,B  checks and operations to leave out: ${leftOuts.join(', ')}
  --into FOLDER    where failures go (test/regression/forest-simulated)
  --help           this text

A program that fails is shortened and written to the folder. Exit code: 0 if every program keeps every
rule, 1 if one fails, 2 if an option is wrong.`;

const options = {
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  workers: { type: 'string', default: String(availableParallelism()) },
  program: { type: 'string' },
  replay: { type: 'string' },
  'keep-going': { type: 'boolean', default: false },
  coverage: { type: 'boolean', default: false },
  'leave-out': { type: 'string', default: '' },
  into: { type: 'string', default: join('test', 'regression', 'forest-simulated') },
} as const;

/** After so many programs, what is not reached is a hole in the generator. */
const programsToReachAll = 1000;

const reportEveryMs = 10_000;

interface Share {
  readonly seed: number;
  readonly first: number;
  readonly stride: number;
  readonly milliseconds: number;
  readonly keepsGoing: boolean;
  readonly leaveOut: readonly LeftOut[];
}

interface Found extends FailedProgram {
  /** Milliseconds from the start to the failure, before it was shortened. */
  readonly after: number;
}

type Report =
  | { readonly counts: CampaignCounts }
  | { readonly counts: CampaignCounts; readonly found: Found };

/** Each program has its own number; two seeds share none that a campaign reaches. */
function programSeed(seed: number, number: number): number {
  return (Math.imul(seed, 1_000_003) + number) >>> 0;
}

async function work(share: Share): Promise<void> {
  const { seed, first, stride, milliseconds, keepsGoing, leaveOut } = share;
  const counts = noCounts();
  const start = performance.now();
  const kinds = new Set<string>();
  let reported = start;
  let shortening = 0;
  for (let number = first; ; number += stride) {
    const now = performance.now();
    if (now - start - shortening >= milliseconds) break;
    if (now - reported >= reportEveryMs) {
      reported = now;
      parentPort?.postMessage({ counts } satisfies Report);
    }
    const failed = await runSeed(programSeed(seed, number), { ...usual, leaveOut }, counts);
    if (failed === undefined || kinds.has(failed.kind)) continue;
    kinds.add(failed.kind);
    const after = performance.now() - start - shortening;
    const found = { ...(await shortened(failed)), after };
    shortening += performance.now() - start - shortening - after;
    parentPort?.postMessage({ counts, found } satisfies Report);
    if (!keepsGoing) break;
  }
  parentPort?.postMessage({ counts } satisfies Report);
}

function shown({
  programs,
  runs,
  transactions,
  comparisons,
  faults,
  cuts,
}: CampaignCounts): string {
  const all = { programs, runs, transactions, comparisons, faults, 'power cuts': cuts };
  return Object.entries(all)
    .map(([what, count]) => `${count.toLocaleString('en')} ${what}`)
    .join(', ');
}

function writeFailure(folder: string, found: FailedProgram & { after?: number }): void {
  const { seed, kind, message, plan, after } = found;
  const slug = kind
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 60);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${slug}-${seed}.json`);
  writeFileSync(file, `${JSON.stringify({ seed, kind, message, plan }, null, 2)}\n`);
  const when = after === undefined ? '' : ` after ${(after / 1000).toFixed(1)} s`;
  console.log(`\n${kind}${when}\n  program ${seed}, ${message}`);
  console.log(`  settings ${JSON.stringify(plan.settings)}`);
  for (const step of plan.steps) console.log(`  ${JSON.stringify(step)}`);
  console.log(`again:     npm run simulate:forest -- --replay ${file}`);
  const leftOut = plan.settings.leaveOut?.join();
  const leaving = leftOut === undefined ? '' : ` --leave-out ${leftOut}`;
  console.log(`the whole: npm run simulate:forest -- --program ${seed}${leaving}`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const numbers = ['seconds', 'seed', 'workers', 'program'] as const;
  const line = commandLine(process.argv.slice(2), options, { help, numbers });
  if ('text' in line) return show(line);
  const { values } = line;
  const leaveOut = values['leave-out'].split(',').filter((one) => one !== '') as LeftOut[];
  const unknown = leaveOut.find((one) => !leftOuts.includes(one));
  if (unknown !== undefined) return show(refused(`Nothing is called '${unknown}'`));
  if (values.program !== undefined || values.replay !== undefined) {
    return await again(values, leaveOut);
  }
  const seed = Number(values.seed);
  const workers = Number(values.workers);
  console.log(`seed ${seed}: ${values.seconds} s on ${workers} threads`);
  const latest = Array.from({ length: workers }, noCounts);
  const kinds = new Set<string>();
  const start = performance.now();
  let reported = start;
  const take = (first: number, report: Report): void => {
    latest[first] = report.counts;
    if ('found' in report && !kinds.has(report.found.kind)) {
      kinds.add(report.found.kind);
      writeFailure(values.into, report.found);
    }
    if (performance.now() - reported < reportEveryMs) return;
    reported = performance.now();
    console.log(`${Math.round((reported - start) / 1000)} s: ${shown(sumOf(latest))}`);
  };
  const ended = latest.map(
    (_, first) =>
      new Promise<void>((resolve, reject) => {
        const share: Share = {
          seed,
          first,
          stride: workers,
          milliseconds: Number(values.seconds) * 1000,
          keepsGoing: values['keep-going'],
          leaveOut,
        };
        const worker = new Worker(new URL(import.meta.url), { workerData: share });
        worker.on('message', (report: Report) => take(first, report));
        worker.on('error', reject);
        worker.on('exit', () => resolve());
      }),
  );
  await Promise.all(ended);
  const total = sumOf(latest);
  console.log(shown(total));
  if (values.coverage) console.log(coverageTable(total.reached));
  const missing = notReached(total.reached);
  const shows = values.coverage || total.programs >= programsToReachAll;
  if (shows && missing.length > 0) console.log(`not reached: ${missing.join(', ')}`);
}

async function again(
  { program, replay, into }: { program?: string; replay?: string; into: string },
  leaveOut: readonly LeftOut[],
): Promise<void> {
  const counts = noCounts();
  if (replay !== undefined) {
    const { seed, plan } = JSON.parse(readFileSync(replay, 'utf8')) as FailedProgram;
    const failed = await runPlan(plan, seed, counts);
    if (failed !== undefined) {
      console.log(`${failed.kind}\n  ${failed.message}`);
      process.exitCode = 1;
    } else console.log(`every rule holds: ${shown(counts)}`);
    return;
  }
  const failed = await runSeed(Number(program), { ...usual, leaveOut }, counts);
  if (failed !== undefined) writeFailure(into, await shortened(failed));
  else console.log(`every rule holds: ${shown(counts)}`);
}

if (isMainThread) await main();
else await work(workerData as Share);

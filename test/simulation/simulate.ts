/**
 * `npm run simulate`: runs simulated lives on every core for so many seconds, or one life again.
 *
 * It only reads the command line, deals out the lives and says what became of them (`lives.ts`,
 * `simulation.ts`).
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { commandLine, show } from '../support/command-line.ts';
import '../support/strict.ts';
import { type FailedLife, runLife, runPlan, tick } from './lives.ts';
import { noCounts, type SimulationCounts } from './simulation.ts';

const help = `npm run simulate -- [options]

Runs simulated lives of a store, on every core, over a disk that loses its power and fails.

  --seconds N    how long (60)
  --seed N       which lives: the same seed, the same lives (from the clock if absent)
  --workers N    on how many threads (as many as there are cores)
  --life N       this life only, as a failure names it
  --replay FILE  this plan only, as a failure has written it
  --record       adds what was run to test/simulation/campaign.json
  --help         this text

A life that fails is shortened and written to test/regression/simulated/. Exit code: 0 if every life
holds, 1 if one fails, 2 if an option is wrong.`;

const options = {
  seconds: { type: 'string', default: '60' },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  workers: { type: 'string', default: String(availableParallelism()) },
  life: { type: 'string' },
  replay: { type: 'string' },
  record: { type: 'boolean', default: false },
} as const;

const failureFolder = join('test', 'regression', 'simulated');
const campaignFile = join('test', 'simulation', 'campaign.json');
/** The clock before it ticks with the lives. */
const realNow = performance.now.bind(performance);

const reportEveryMs = 10_000;

interface Share {
  readonly seed: number;
  readonly first: number;
  readonly stride: number;
  readonly milliseconds: number;
}

type Report =
  | { readonly counts: SimulationCounts }
  | { readonly counts: SimulationCounts; readonly failed: FailedLife | undefined };

/** The life of each number is its own; two seeds share none that anybody will get to. */
function lifeSeed(seed: number, number: number): number {
  return (Math.imul(seed, 1_000_003) + number) >>> 0;
}

async function work({ seed, first, stride, milliseconds }: Share): Promise<void> {
  const counts = noCounts();
  const start = realNow();
  tick();
  let reported = start;
  let failed: FailedLife | undefined;
  for (let number = first; failed === undefined; number += stride) {
    const now = realNow();
    if (now - start >= milliseconds) break;
    if (now - reported >= reportEveryMs) {
      reported = now;
      parentPort?.postMessage({ counts });
    }
    failed = await runLife(lifeSeed(seed, number), counts);
  }
  parentPort?.postMessage({ counts, failed });
}

function sum(all: readonly SimulationCounts[]): SimulationCounts {
  const total = noCounts();
  for (const counts of all) {
    for (const key of Object.keys(total) as (keyof SimulationCounts)[]) total[key] += counts[key];
  }
  return total;
}

function told({ verified, cuts, ...counts }: SimulationCounts): string {
  const all = { ...counts, 'power cuts': cuts, 'stores verified': verified };
  return Object.entries(all)
    .map(([what, count]) => `${count.toLocaleString('en')} ${what}`)
    .join(', ');
}

/** Runs the shares; the first life that failed, once every thread has ended. */
async function runShares(
  seed: number,
  seconds: number,
  workers: number,
): Promise<{ counts: SimulationCounts; failed: FailedLife | undefined }> {
  const latest = Array.from({ length: workers }, noCounts);
  let failed: FailedLife | undefined;
  const start = realNow();
  let reported = start;
  const ended = latest.map(
    (_, first) =>
      new Promise<void>((resolve, reject) => {
        const share: Share = { seed, first, stride: workers, milliseconds: seconds * 1000 };
        const worker = new Worker(new URL(import.meta.url), { workerData: share });
        worker.on('message', (report: Report) => {
          latest[first] = report.counts;
          if ('failed' in report) failed ??= report.failed;
          if (realNow() - reported < reportEveryMs) return;
          reported = realNow();
          console.log(`${Math.round((reported - start) / 1000)} s: ${told(sum(latest))}`);
        });
        worker.on('error', reject);
        worker.on('exit', () => resolve());
      }),
  );
  await Promise.all(ended);
  return { counts: sum(latest), failed };
}

function tellFailure({ seed, message, plan }: FailedLife): void {
  mkdirSync(failureFolder, { recursive: true });
  const file = join(failureFolder, `life-${seed}.json`);
  writeFileSync(file, `${JSON.stringify({ seed, message, plan }, null, 2)}\n`);
  console.log(`\nlife ${seed} does not hold: ${message}`);
  console.log(`shortened to ${plan.steps.length} steps, in ${file}:`);
  for (const step of plan.steps) console.log(`  ${JSON.stringify(step)}`);
  console.log(`\nagain:      npm run simulate -- --replay ${file}`);
  console.log(`the whole:  npm run simulate -- --life ${seed}`);
  process.exitCode = 1;
}

function record(counts: SimulationCounts): void {
  const before = JSON.parse(readFileSync(campaignFile, 'utf8')) as SimulationCounts;
  writeFileSync(campaignFile, `${JSON.stringify(sum([before, counts]), null, 2)}\n`);
}

async function main(): Promise<void> {
  const numbers = ['seconds', 'seed', 'workers', 'life'] as const;
  const line = commandLine(process.argv.slice(2), options, { help, numbers });
  if ('text' in line) return show(line);
  const { values } = line;
  if (values.life !== undefined || values.replay !== undefined) return await again(values);
  const seed = Number(values.seed);
  const seconds = Number(values.seconds);
  const workers = Number(values.workers);
  console.log(`seed ${seed}: ${seconds} s on ${workers} threads`);
  const start = realNow();
  const { counts, failed } = await runShares(seed, seconds, workers);
  const took = (realNow() - start) / 1000;
  console.log(`${told(counts)}; ${Math.round(counts.cuts / took)} power cuts a second`);
  if (failed !== undefined) tellFailure(failed);
  else if (values.record) record(counts);
}

async function again({
  life,
  replay,
}: {
  life?: string | undefined;
  replay?: string | undefined;
}): Promise<void> {
  tick();
  const counts = noCounts();
  let failed: FailedLife | undefined;
  if (replay === undefined) failed = await runLife(Number(life), counts);
  else {
    const { seed, plan } = JSON.parse(readFileSync(replay, 'utf8')) as FailedLife;
    failed = await runPlan(plan, { seed, cutsBeside: 0 }, counts);
  }
  if (failed !== undefined) tellFailure(failed);
  else console.log(`it holds: ${told(counts)}`);
}

if (isMainThread) await main();
else await work(workerData as Share);

/**
 * `npm run bench -- micro`: what varve itself costs: commits on a memory file system, in processes
 * of their own; and with tinybench the pieces that every commit and every get are made of:
 * checksums, records of the commit log, mark pages, ids.
 *
 * In memory only: no file, no sync. Each commit is of one value of 16 bytes. The average over the
 * first 1,000 commits of a process is mostly code that the engine has not compiled yet; that of
 * 1,000 commits after 20,000 is compiled code. The floors do the same work bare, in JavaScript.
 */

import { joinGrainId, split, splitGrainId } from '../src/format/grain-id.ts';
import { encodeMarkPage, openMarkPage } from '../src/format/grain-map.ts';
import { grainsPerMarkPage, marksBytes, saltBytes } from '../src/format/layout.ts';
import { decodeLogRecord, LogRecordWriter } from '../src/format/log-record.ts';
import { crc32 } from '../src/util/crc.ts';
import { bytesText, countText, plural, tableText, timeText } from './support/figures.ts';
import type { Goal } from './support/goals.ts';
import { inMemory, inMemoryContestants } from './support/in-memory-commits.ts';
import { type BenchTask, measure, spreadOfTask } from './support/measuring.ts';
import { Payload } from './support/payload.ts';
import { fresh, type ProcessSection, warm } from './support/processes/process-section.ts';
import { ask, type FreeSection } from './support/question.ts';

const commitTitle = 'one 16-byte value a commit, in memory';
const payload = new Payload();
/** What is computed lands here, so that none of it can be left out. */
let sink = 0;

/** One call does `operations` of them. */
function task(name: string, operations: number, operation: () => number): BenchTask {
  const run = (): number => {
    for (let done = 0; done < operations; done++) sink += operation();
    return sink;
  };
  return { name, operations, async: false, run };
}

function checksums(): BenchTask[] {
  return [16, 64, 256, 1024, 4096, 65_536].map((length) => {
    const bytes = payload.next(length).slice();
    return task(`crc of ${bytesText(length)}`, length > 4096 ? 20 : 500, () => crc32(bytes));
  });
}

function encodedRecord(values: number): Uint8Array {
  const writer = new LogRecordWriter({
    batch: 1_000,
    committedAt: 1_700_000_000_000,
    embeddedHeader: 0n,
    checkpoint: 900,
    retainedLogBytes: 100_000,
  });
  for (let at = 0; at < values; at++) {
    const length = (at * 37) % 500;
    const count = Math.ceil((length + 8) / 32);
    writer.allocate({ basin: 0, stratum: 0, index: at * 16, count, length }, at);
  }
  return writer.finish();
}

function records(): BenchTask[] {
  return [1, 20, 1_000].flatMap((values) => {
    const body = encodedRecord(values).slice();
    const operations = Math.ceil(500 / values);
    const text = plural(values, 'value');
    return [
      task(`encode a record of ${text}`, operations, () => encodedRecord(values).length),
      task(
        `decode a record of ${text}`,
        operations,
        () => decodeLogRecord(body, undefined).operations.length,
      ),
    ];
  });
}

function markPages(): BenchTask[] {
  const marks = payload.next(marksBytes).slice();
  const salt = payload.next(saltBytes).slice();
  const place = { page: 17, generation: 3, stamp: 900 };
  const owner = { basin: 0, stratum: 0, firstIndex: 0, grains: grainsPerMarkPage, grainExp: 5 };
  const content = { owner, ordinal: 0, marks };
  const { bytes, crc } = encodeMarkPage(content, place, salt);
  const name = { ...place, length: bytes.length, crc };
  return [
    task('encode a mark page', 100, () => encodeMarkPage(content, place, salt).crc),
    task('check a mark page', 100, () => openMarkPage(bytes, name, salt).stamp),
  ];
}

function ids(): BenchTask[] {
  const all = Array.from({ length: 1_000 }, (_, at) => joinGrainId(0, at % 7, at * 1_001));
  let next = 0;
  return [
    task('split an id', 1_000, () => {
      splitGrainId(all[next] as bigint);
      next = next === 999 ? 0 : next + 1;
      return split.index;
    }),
    task('join an id', 1_000, () => {
      next = next === 999 ? 0 : next + 1;
      return joinGrainId(0, 3, next) === undefined ? 1 : 0;
    }),
  ];
}

function pieces(quick: boolean): FreeSection {
  return {
    title: 'the pieces',
    async measure() {
      const tasks = [...checksums(), ...records(), ...markPages(), ...ids()];
      const effort = quick ? { rounds: 2, time: 10 } : { rounds: 3, time: 100 };
      const spreads = await measure(tasks, effort);
      const rows = tasks.map(({ name }) => {
        const { median, p25, p75, p99, samples } = spreadOfTask(spreads, name);
        return [name, ...[median, p25, p75, p99].map(timeText), countText(samples)];
      });
      return {
        text: tableText(['', 'median', 'p25', 'p75', 'p99', 'samples'], rows),
        figures: Object.fromEntries([...spreads].map(([name, { median }]) => [name, median])),
      };
    },
  };
}

/** Each run is a thousand commits: the first one of a process, and the one after twenty. */
function commits(quick: boolean): ProcessSection {
  const processes = quick ? 3 : 5;
  return {
    title: commitTitle,
    // A run is the average of a thousand commits; of few processes the least is worth showing.
    shown: { by: 'time' },
    contestants: inMemoryContestants,
    fresh: { processes, runs: 1 },
    warm: { processes, runsBefore: 20, rounds: 1, slice: 0, warmUp: 0, warmUpRuns: 0 },
  };
}

/** Microseconds of the average commit beyond that of `less`. */
function beyond(half: string, name: string, less: string): Goal['value'] {
  return ({ average }) => (average(half, name) - average(half, less)) * 1e3;
}

const { storeCommitSync, storeCommit, treePut } = inMemory;

await ask({
  name: 'micro',
  title: 'The pieces of a commit and a get, in memory',
  peers: false,
  sections: (quick) => [commits(quick), pieces(quick)],
  goals: [
    ...[storeCommitSync, storeCommit].flatMap((name): Goal[] => [
      {
        text: `${name}: <= 25 us over the first 1,000 of a process`,
        most: 25,
        value: ({ average }) => average(fresh(commitTitle), name) * 1e3,
      },
      {
        text: `${name}: <= 4 us over 1,000 after 20,000`,
        most: 4,
        value: ({ average }) => average(warm(commitTitle), name) * 1e3,
      },
    ]),
    {
      text: `${treePut}: <= 25 us more than commitSync over the first 1,000 of a process`,
      most: 25,
      value: beyond(fresh(commitTitle), treePut, storeCommitSync),
    },
    {
      text: `${treePut}: <= 6 us more than commitSync over 1,000 after 20,000`,
      most: 6,
      value: beyond(warm(commitTitle), treePut, storeCommitSync),
    },
  ],
});

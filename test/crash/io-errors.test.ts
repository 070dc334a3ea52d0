/**
 * Writes that fail: each write, and each truncate, of a history fails once, with any part of it
 * done, as EIO or ENOSPC; or it and the next operation fail, so that a record can be neither written
 * nor taken back. And every operation of some workloads (write, truncate, datasync, open, close)
 * fails once, with each error that it can have: each call of the store says what the contract has.
 * (Reads: `read-errors.test.ts`.)
 *
 * What was rejected is never there, at a power cut in the next moments, at the end and after
 * reopening; what was acknowledged is; the store goes on working.
 */

import { afterAll, describe, expect, it, vi } from 'vitest';
import { Store } from '../../src/index.ts';
import { crashScale, ticking } from '../support/crash-scale.ts';
import { type DiskState, powerCut, restarted } from '../support/disks/disk-state.ts';
import { type DiskOperation, type Fault, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { check } from '../support/fixtures/store-checks.ts';
import {
  type Calls,
  callsOf,
  type FailingCall,
  failOnce,
} from '../support/lives/disk-aftermath.ts';
import { workloads as ofValues, type Workload } from '../support/lives/disk-workload.ts';
import { type History, histories, randomHistory } from '../support/lives/histories.ts';
import { Life } from '../support/lives/life.ts';
import { streamedWorkload } from '../support/lives/streamed-workload.ts';
import {
  acknowledgedBefore,
  commitMore,
  reopened,
  runWithFaults,
  succeed,
} from '../support/lives/trial.ts';
import { compareStore } from '../support/oracles/compare-store.ts';
import type { Work } from '../support/oracles/expected-content.ts';
import { Random } from '../support/random.ts';

const workloads = [...ofValues, streamedWorkload];
const counts = { faults: 0, rejections: 0, cuts: 0 };

/** Cuts the power soon after operation `number`, and wherever a commit was rejected. */
async function cutAfter(life: Life, number: number): Promise<void> {
  const random = new Random(number);
  const { before, state } = life.disk;
  const states = [...before, state];
  const soon = [1, 2, 3, 4 + random.below(8)].map((later) => number + later);
  for (const at of new Set([...soon, ...life.rejected, states.length - 1])) {
    const share = random.below(3) / 2;
    const cut = states[at];
    if (cut === undefined) continue;
    const state = restarted(powerCut(cut, () => random.chance(share)));
    counts.cuts += 1;
    try {
      await reopened(state, life, acknowledgedBefore(life, at));
    } catch (error) {
      // Until it is told so, a session that will be rejected may be there.
      if (!(await isThere(state, life, at))) {
        throw new Error(`cut at ${at}: ${error}`, { cause: error });
      }
    }
  }
}

/**
 * Whether the store is as if sessions that waited for an answer had been accepted in one batch: any of
 * a few, since a large value may still be on its way, or those that had asked by some moment, or one of
 * them, which was tried alone. Before them it may have made batches of its own.
 */
async function isThere(state: DiskState, life: Life, at: number): Promise<boolean> {
  const waiting = life.inFlightAt(at);
  const tried: Work[][] =
    waiting.length <= fewSessions
      ? subsetsOf(waiting)
      : [
          [],
          ...waiting.map((_, last) => waiting.slice(0, last + 1)),
          ...waiting.slice(1).map((work) => [work]),
        ];
  const floor = acknowledgedBefore(life, at);
  for (const works of tried) {
    const next = new Life(new SimulatedDisk({ state }), life.settings, life.expected.upTo(floor));
    await next.open();
    const last = next.store.currentBatch - (works.length > 0 ? 1 : 0);
    while (next.expected.current.batch < last) next.expected.addOwn();
    await next.decide(works);
    try {
      await compareStore(next.store, next.expected.current);
      return true;
    } catch {
      // Others may be there.
    }
  }
  return false;
}

const fewSessions = 4;

/** All subsets, each in order. */
function subsetsOf(works: readonly Work[]): Work[][] {
  const subsets: Work[][] = [[]];
  for (const work of works) subsets.push(...subsets.map((one) => [...one, work]));
  return subsets;
}

/** Runs the history with faults; the store goes on afterwards, and is what it should be. */
async function fail(
  history: History,
  number: number,
  faultOf: (operation: DiskOperation) => Fault | undefined,
): Promise<void> {
  const disk = new SimulatedDisk({ seed: number, faultOf });
  const life = new Life(disk, history.settings);
  const poisoned = await runWithFaults(life, history);
  counts.faults += 1;
  counts.rejections += life.rejections.length;
  await cutAfter(life, number);
  disk.faultOf = () => undefined;
  if (poisoned) {
    const next = await succeed(disk.state, life, number);
    await commitMore(next);
    await compareStore(next.store, next.expected.current);
    return;
  }
  if (!life.isOpen) await life.open();
  await commitMore(life);
  await compareStore(life.store, life.expected.current);
  await life.reopen();
  expect(life.store.recovery).toMatchObject({ clean: true, replayedBatches: 0, healed: [] });
  await compareStore(life.store, life.expected.current);
}

/** Which operations fail, where the one with that number does. */
type Failing = (number: number) => (operation: DiskOperation) => boolean;

const once: Failing =
  (number) =>
  ({ number: at }) =>
    at === number;
const twice: Failing =
  (number) =>
  ({ number: at }) =>
    at === number || at === number + 1;

/** What takes a record back is zeros. So the record is refused however often it is tried again. */
const allButZeros: Failing = (number) => {
  let left = 8;
  return ({ number: at, kind, first }) => {
    const isZero = first?.every((byte) => byte === 0) === true;
    if (at < number || left === 0 || (at > number && (kind !== 'write' || isZero))) return false;
    left -= 1;
    return true;
  };
};

async function failEveryWrite(history: History, stride: number, failing: Failing): Promise<void> {
  const life = new Life(new SimulatedDisk(), history.settings);
  await history.run(life);
  const faults: Fault[] = [
    { kind: 'error', code: 'ENOSPC' },
    { kind: 'error', code: 'EIO' },
  ];
  for (const { number, kind } of life.disk.operations) {
    const aside = life.aside.has(number) && number > 0;
    if (aside || kind === 'datasync' || number % stride !== 0) continue;
    const fault = faults[number % 2] as Fault;
    try {
      const fails = failing(number);
      await fail(history, number, (operation) => (fails(operation) ? fault : undefined));
    } catch (error) {
      const place = `${kind}, operation ${number} of '${history.name}', fails`;
      throw new Error(`${place}: ${error}`, { cause: error });
    }
  }
}

const strides = new Map([
  ['roll-over of the commit log', 7],
  ['settle in chunks', 31],
  ['new stratum, map and basin', 5],
  ['file growth', 2],
  ['large values', 2],
  ['map dropped and its place used again', 3],
  ['a loop of commitSync', 2],
]);

const named = histories.map((history) => [history.name, history] as const);
const seeds = Array.from({ length: 2 * crashScale }, (_, at) => at + 301);

describe.each([
  ['once', once],
  ['and so does the next operation', twice],
  ['and so does what is written next but zeros', allButZeros],
])('a write fails, %s', (_, failing) => {
  ticking(vi);

  it.each(named)('%s', async (name, history) => {
    await failEveryWrite(history, Math.ceil((strides.get(name) ?? 1) / crashScale), failing);
  });

  it.each(seeds)('seed %i', async (seed) => {
    await failEveryWrite(randomHistory(seed, 16), Math.ceil(9 / crashScale), failing);
  });
});

/** Of which one is the truncate that gives a new file its length. */
const creationOperations = 3;
const failed = { write: 0, truncate: 0, datasync: 0, open: 0, silent: 0 };
const codes = ['EIO', 'ENOSPC', 'EDQUOT'] as const;

/** Every call but reads, with every way in which it can fail; with `each` code, or one of them. */
function* failing({ operations, handles }: Calls, each: boolean): Generator<FailingCall> {
  for (const { kind, number } of operations) {
    for (const code of each ? codes : [codes[number % codes.length] ?? 'EIO']) {
      const ways: Fault[] = [{ kind: 'error', code }];
      if (kind === 'truncate') ways.push({ kind: 'error', code, done: 'all' });
      if (kind === 'datasync') {
        ways.pop();
        for (const cache of ['dropped', 'kept'] as const) ways.push({ kind: 'sync', cache, code });
      }
      failed[kind] += ways.length;
      for (const fault of ways) yield { of: 'operations', number, fault };
    }
  }
  for (let number = 0; number < handles; number++) {
    failed.open += codes.length;
    for (const code of codes) yield { of: 'handles', number, fault: { kind: 'error', code } };
  }
}

/**
 * What a commit writes on the side may fail unheard: it is written with the next. So may making the
 * file longer ahead of its writes, which make it longer too; at the first and the last it may not.
 */
function mayBeSilent(
  { of, fault, number }: FailingCall,
  { operations }: Calls,
  { prepare }: Workload,
): boolean {
  if (of !== 'operations' || fault.kind !== 'error') return false;
  const isCreating = prepare === undefined && number <= creationOperations;
  const lengthens = operations[number]?.kind === 'truncate' && !isCreating;
  const last = operations.slice(number + 1).every(({ kind }) => kind === 'datasync');
  return operations[number]?.kind === 'write' || (lengthens && !last);
}

describe('each operation of a workload fails once', () => {
  ticking(vi);

  it.each(workloads.map((workload, at) => [workload.name, at] as const))('%s', async (_, at) => {
    const workload = workloads[at] as Workload;
    const calls = await callsOf(workload);
    for (const call of failing(calls, at === 0 || crashScale > 1)) {
      if ((await failOnce(workload, call)) > 0) continue;
      failed.silent += 1;
      if (mayBeSilent(call, calls, workload)) continue;
      throw new Error(`nobody heard that ${call.of} ${call.number} of '${workload.name}' failed`);
    }
  });
});

it('a poisoned store is sound: no space that the batch had taken is lost', async () => {
  const disk = new SimulatedDisk({ records: false });
  const store = await Store.open('store', { fileSystem: disk });
  const session = store.session();
  // The record of so many is too large for the log: its body takes pages of its own.
  for (let at = 0; at < 1000; at++) session.push(new Uint8Array(12));
  disk.faultOf = ({ kind }) =>
    kind === 'datasync' ? { kind: 'sync', cache: 'dropped' } : undefined;
  await check.rejects('VARVE_POISONED', () => session.commit());
  await check.sound(store);
  await store.close();
});

afterAll(() => {
  const { faults, rejections, cuts } = counts;
  console.log(`failed writes: ${faults}, rejections: ${rejections}, cuts after them: ${cuts}`);
  const { write, silent, truncate, datasync, open } = failed;
  console.log(
    `of workloads: ${write} writes failed, ${silent} of them in silence, ${truncate} truncates, ` +
      `${datasync} datasyncs, ${open} openings and closings`,
  );
});

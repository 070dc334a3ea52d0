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
import { type Fault, SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { movedBytes } from '../support/fixtures/moved-bytes.ts';
import { check } from '../support/fixtures/store-checks.ts';
import { automaticCompactions, randomCompacted } from '../support/lives/automatic-histories.ts';
import {
  type Calls,
  callsOf,
  type FailingCall,
  failOnce,
} from '../support/lives/disk-aftermath.ts';
import { workloads as ofValues, type Workload } from '../support/lives/disk-workload.ts';
import {
  allButZeros,
  failEveryWrite,
  failedWrites,
  once,
  twice,
} from '../support/lives/failed-writes.ts';
import { histories, randomHistory } from '../support/lives/histories.ts';
import { streamedWorkload } from '../support/lives/streamed-workload.ts';

const workloads = [...ofValues, streamedWorkload];

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

describe('a write of a store with automatic compaction fails', () => {
  ticking(vi);
  const moved = movedBytes();

  it.each(automaticCompactions.map((history) => [history.name, history] as const))(
    '%s',
    async (_, history) => {
      await failEveryWrite(history, Math.ceil(13 / crashScale), once);
      expect(moved()).toBeGreaterThan(0);
    },
  );

  it.each(seeds)('seed %i', async (seed) => {
    await failEveryWrite(randomCompacted(seed, 16), Math.ceil(9 / crashScale), once);
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
  const { faults, rejections, cuts } = failedWrites;
  console.log(`failed writes: ${faults}, rejections: ${rejections}, cuts after them: ${cuts}`);
  const { write, silent, truncate, datasync, open } = failed;
  console.log(
    `of workloads: ${write} writes failed, ${silent} of them in silence, ${truncate} truncates, ` +
      `${datasync} datasyncs, ${open} openings and closings`,
  );
});

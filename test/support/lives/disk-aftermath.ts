/**
 * One call to the disk fails during a workload, and what must be true then: each call of the store
 * that says so says it as the contract has it, everything acknowledged is there, in this life, after
 * a close, and after a power cut; what was refused is not; and the store goes on.
 *
 * A store that a failed sync has poisoned goes on reading, refuses everything else and writes
 * nothing more; the next opening has all that was acknowledged, and the sessions whose own sync it
 * was together or not at all. Every check throws.
 */

import { isVarveError, systemCode } from '../../../src/errors.ts';
import { crashScale } from '../crash-scale.ts';
import type { ErrorFault } from '../disks/disk-faults.ts';
import { type DiskState, powerCut, restarted } from '../disks/disk-state.ts';
import type {
  DiskOperation,
  DiskRead,
  Fault,
  ReadFault,
  SimulatedDisk,
} from '../disks/simulated-disk.ts';
import { compareStore } from '../oracles/compare-store.ts';
import { Random } from '../random.ts';
import { type FaultyLife, lifeOf, type Workload } from './disk-workload.ts';
import { LifeOver } from './life.ts';
import { commitMore, reopened, succeed } from './trial.ts';

/** The call that fails: the `number`th of its kind, each kind counted from 0. */
export type FailingCall =
  | { readonly of: 'operations'; readonly number: number; readonly fault: Fault }
  | { readonly of: 'reads'; readonly number: number; readonly fault: ReadFault }
  | { readonly of: 'handles'; readonly number: number; readonly fault: ErrorFault };

/** What a workload asks of its disk. */
export interface Calls {
  readonly operations: readonly DiskOperation[];
  readonly reads: readonly DiskRead[];
  readonly handles: number;
}

/** Steps that are done after the one in which the call failed. */
const stepsAfter = crashScale > 1 ? Number.POSITIVE_INFINITY : 2;

/** What the workload asks of its disk where nothing fails. */
export async function callsOf(workload: Workload): Promise<Calls> {
  const reads: DiskRead[] = [];
  const life = await lifeOf(workload);
  const { disk } = life;
  disk.readFaultOf = (read) => {
    reads.push(read);
    return undefined;
  };
  await runSteps(life, workload, () => true);
  if (life.refusals.length > 0) throw new Error('a call was refused, and nothing had failed');
  return { operations: disk.operations, reads, handles: disk.handles };
}

/** Runs the workload with that call failing; how many calls of the store said so. */
export async function failOnce(workload: Workload, failing: FailingCall): Promise<number> {
  try {
    return await failed(workload, failing);
  } catch (error) {
    const { of, number, fault } = failing;
    const place = `'${workload.name}', ${of} ${number}: ${JSON.stringify(fault)}`;
    throw new Error(`${place}: ${error}`, { cause: error });
  }
}

async function failed(workload: Workload, failing: FailingCall): Promise<number> {
  const { number } = failing;
  const life = await lifeOf(workload, number);
  const { disk } = life;
  const made = putFault(disk, failing);
  let left = stepsAfter;
  const poisoned = await runSteps(life, workload, () => !made() || left-- > 0);
  if (!made()) throw new Error('the call that was to fail was not made');
  disk.faultOf = undefined;
  disk.readFaultOf = undefined;
  disk.handleFaultOf = undefined;
  checkRefusals(life, failing.fault);
  if (poisoned) await checkPoisoned(life, number);
  else await checkSound(life, number);
  return life.refusals.length;
}

/** Puts the fault on its call; the function says whether it has been made. */
function putFault(disk: SimulatedDisk, failing: FailingCall): () => boolean {
  let made = false;
  const at = <T>(number: number, fault: T): T | undefined => {
    if (number !== failing.number) return undefined;
    made = true;
    return fault;
  };
  const { of, fault } = failing;
  if (of === 'operations') disk.faultOf = ({ number }) => at(number, fault);
  else if (of === 'reads') disk.readFaultOf = ({ number }) => at(number, fault);
  else disk.handleFaultOf = ({ number }) => at(number, fault);
  return () => made;
}

/** Does the steps while `goesOn`; whether the store was poisoned. */
async function runSteps(life: FaultyLife, workload: Workload, goesOn: () => boolean) {
  try {
    for (const step of workload.steps) {
      await step(life);
      if (!goesOn()) break;
    }
    return false;
  } catch (error) {
    if (!(error instanceof LifeOver)) throw error;
    // The other sessions of the batch hear of it in the same turn.
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }
}

/** What the calls of the store have said of it: the code, the path, the system's error. */
function checkRefusals({ refusals }: FaultyLife, fault: FailingCall['fault']): void {
  if (fault.kind === 'short' && refusals.length > 0) {
    throw new Error(`a short read: ${refusals[0]?.error}`);
  }
  const systemErrors = new Set<unknown>();
  for (const { call, error } of refusals) {
    const { cause, code, path } = error;
    const poisons = fault.kind === 'sync' && call !== 'open';
    const expected = poisons ? 'VARVE_POISONED' : 'VARVE_IO';
    if (code !== expected || path !== 'store') throw new Error(`${call}: ${code} of ${path}`);
    // Those that only come after a failed sync have no cause.
    if (poisons && cause === undefined && systemErrors.size > 0) continue;
    systemErrors.add(cause);
    const told = 'code' in fault ? fault.code : 'EIO';
    if (systemCode(cause) !== told) throw new Error(`${call}: its cause is ${cause}, not ${told}`);
  }
  if (systemErrors.size > 1) throw new Error('one call failed, and several errors were told');
}

function cutAtRandom(state: DiskState, seed: number): DiskState {
  const random = new Random(seed);
  const share = random.below(3) / 2;
  return restarted(powerCut(state, () => random.chance(share)));
}

async function checkSound(life: FaultyLife, seed: number): Promise<void> {
  // What was refused is gone at once: a cut, just then, leaves what was acknowledged.
  const [first] = life.refusals;
  if (first !== undefined) await reopened(cutAtRandom(first.state, seed), life, first.batch);
  if (life.isOpen) {
    await compareStore(life.store, life.expected.current);
    await life.close();
  }
  const closedWell = life.refusals.at(-1)?.call !== 'close';
  await life.open();
  if (closedWell && !life.store.recovery.clean) throw new Error('it was closed, and is not clean');
  await compareStore(life.store, life.expected.current);
  await commitMore(life);
  const { batch } = life.expected.current;
  await reopened(cutAtRandom(life.disk.state, seed + 1), life, batch);
}

/** The store of a failed sync as long as its process lives, and those who open it after that. */
async function checkPoisoned(life: FaultyLife, seed: number): Promise<void> {
  const { disk, store, expected } = life;
  const before = disk.operations.length;
  if (life.closing) await refuses('VARVE_POISONED', () => store.close());
  else {
    await compareStore(store, expected.current);
    await refuses('VARVE_POISONED', () => store.session());
    await refuses('VARVE_POISONED', () => store.put(new Uint8Array(1)));
    await refuses('VARVE_POISONED', () => store.put(new Uint8Array(2 ** 21)));
    await refuses('VARVE_POISONED', () => store.checkpointTo(expected.current.batch));
    await refuses('VARVE_POISONED', () => store.updateEmbeddedHeader(() => null));
    await store.close();
  }
  await refuses('VARVE_CLOSED', () => store.session());
  await refuses('VARVE_CLOSED', () => store.statistics());
  if (disk.operations.length > before) throw new Error('a poisoned store has written');
  for (const state of [disk.state, cutAtRandom(disk.state, seed)]) {
    const next = await succeed(state, life, seed);
    await commitMore(next);
    await next.reopen();
    await compareStore(next.store, next.expected.current);
  }
}

async function refuses(code: 'VARVE_POISONED' | 'VARVE_CLOSED', call: () => unknown) {
  let error: unknown;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  if (!isVarveError(error, code)) throw new Error(`it is ${code}, and said ${error}`);
}

/**
 * The simulation of forests itself: the same seed is the same program, any part of a plan can be
 * run, a plan that fails is made short, and a disk that breaks its word is found. The programs that
 * forests must withstand are in `programs.test.ts`.
 */

import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Forest } from '../../src/forest/index.ts';
import { type GrainId, Session, type Store } from '../../src/index.ts';
import { SimulatedDisk } from '../support/disks/simulated-disk.ts';
import { Random } from '../support/random.ts';
import { runProgram } from './aftermath.ts';
import { noCounts, runPlan } from './campaign.ts';
import { everyCall } from './every-call.ts';
import { Ledger } from './model/ledger.ts';
import { bytesOf, type Effect, emptyState, type State } from './model/model-state.ts';
import type { Plan, Step } from './model/plan.ts';
import { pushedDiffer, readPushed } from './observation.ts';
import { planOf } from './plan-generator.ts';
import { shrinkPlan } from './shrink-plan.ts';
import { Chaos } from './world/chaos.ts';
import { vaultOf } from './world/dialects.ts';
import { Reached } from './world/reached.ts';
import { StoreNeighbour } from './world/store-neighbour.ts';

describe('a program', () => {
  it('is the same for the same seed', async () => {
    for (const seed of [1, 2, 3]) {
      expect(planOf(seed)).toEqual(planOf(seed));
      const [one, other] = [await counted(seed), await counted(seed)];
      expect(one).toEqual(other);
      expect(one.operations).toBeGreaterThan(5);
    }
  });

  it('runs with any of its steps left out', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(100_000), fc.nat(), async (seed, out) => {
        const { settings, steps } = planOf(seed);
        const leaving = new Random(out);
        const plan = { settings, steps: steps.filter(() => leaving.chance(0.5)) };
        const failed = await runPlan(plan, seed, noCounts());
        expect(failed?.message ?? 'holds').not.toMatch(/the life throws/);
      }),
      { numRuns: 10, seed: 5 },
    );
  });
});

async function counted(seed: number): Promise<{ operations: number }> {
  const { calls, operations } = await runProgram(planOf(seed));
  return { ...calls, operations };
}

describe('a plan that fails', () => {
  it('is made as short as it can be', async () => {
    const fails = async ({ steps }: Plan): Promise<boolean> => {
      const held = steps.findIndex((step) => step.do === 'snapshot');
      const forks = (step: Step): boolean =>
        step.do === 'transaction' && step.ops.some((op) => op.do === 'fork');
      return held >= 0 && steps.slice(held).some(forks);
    };
    const steps = [...planOf(5).steps, { do: 'snapshot' } as const, ...everyCall.steps];
    const found = await shrinkPlan({ settings: planOf(5).settings, steps }, fails);
    expect(found.steps.map((step) => step.do)).toEqual(['snapshot', 'transaction']);
    expect(found.steps[1]).toMatchObject({ ops: [{ do: 'fork' }] });
    expect(found.settings.vault).toBe('none');
  });
});

describe('the simulation finds', () => {
  it('a disk that loses synced data in a power cut', async () => {
    const { endSync } = SimulatedDisk.prototype;
    vi.spyOn(SimulatedDisk.prototype, 'endSync').mockImplementation(function lying(
      this: SimulatedDisk,
      sync,
    ) {
      endSync.call(this, { ...sync, covered: 0 });
    });
    const cut: Step = { do: 'cut', after: 0, fate: { share: 0, seed: 1 } };
    const plan = { ...everyCall, steps: [...everyCall.steps, { do: 'settle' } as const, cut] };
    const failed = await runPlan(plan, 1, noCounts());
    vi.restoreAllMocks();
    expect(failed?.message).toMatch(/power cut/);
  });
});

describe('the state after a failed sync', () => {
  const put = (key: number): Effect => ({ put: [[key, key]], tree: 0 });

  it('has any prefix of the uncertain transactions that ended before it', () => {
    const ledger = new Ledger();
    for (const key of [0, 1, 2, 3]) {
      const entry = ledger.add('a transaction');
      entry.effects = [put(key)];
      entry.endedAt = key * 10;
      entry.phase = key === 0 ? 'resolved' : 'uncertain';
    }
    ledger.fold();
    const keysOf = ({ trees }: State): number[] => [...(trees.get(0)?.entries.keys() ?? [])];
    expect(ledger.isUncertain).toBe(true);
    expect(ledger.reopened(25).map(keysOf)).toEqual([[0], [0, 1], [0, 1, 2]]);
    expect(ledger.reopened(5).map(keysOf)).toEqual([[0]]);
    ledger.settleOn(ledger.reopened(25)[1] as State);
    expect(ledger.isUncertain).toBe(false);
    expect(ledger.durable(false).map(keysOf)).toEqual([[0, 1]]);
  });

  /** Another user whose sessions of two values each have been rejected, and what a store has. */
  async function rejected(sessions: number, kept: (value: number) => boolean) {
    await using forest = await Forest.inMemory();
    const { store } = forest;
    let seeds = 0;
    const neighbour = new StoreNeighbour({
      nextSeed: () => seeds++,
      followCommit: (_name, commit, then) => {
        then(undefined);
        void commit.catch(() => undefined);
      },
      accepts: () => true,
      given: () => undefined,
      reached: new Reached(),
    });
    const pushed: Uint8Array[] = [];
    const spy = vi.spyOn(Session.prototype, 'push');
    spy.mockImplementation((bytes) => BigInt(pushed.push(bytes)) as GrainId);
    for (let left = sessions; left > 0; left--) {
      neighbour.session(store, { push: [40, 50], archive: [], end: 'commit' });
    }
    spy.mockRestore();
    const get = (id: GrainId) => (kept(Number(id) - 1) ? pushed[Number(id) - 1] : undefined);
    neighbour.settleOn({ get } as unknown as Store);
    return neighbour.values.size;
  }

  it('has any prefix of the sessions of other users, each whole', async () => {
    expect(await rejected(3, () => false)).toBe(0);
    expect(await rejected(3, (value) => value < 2)).toBe(2);
    expect(await rejected(3, () => true)).toBe(6);
    await expect(rejected(3, (value) => value < 3)).rejects.toThrow(/a part of a session/);
    await expect(rejected(3, (value) => value > 1)).rejects.toThrow(/lost a session before/);
  });
});

describe('the pushed values of a state', () => {
  it('differ if an id has the value of another user; a vault that fails is an error', async () => {
    const chaos = new Chaos();
    const vault = vaultOf('checked', chaos);
    await using forest = await Forest.inMemory({ vault });
    const value = { length: 40, seed: 9 };
    const own = await forest.transaction((tx) => tx.push(bytesOf(value)));
    const session = forest.store.session();
    const foreign = session.push(bytesOf(value));
    await session.commit();
    const read = (id: GrainId) => readPushed(forest, id);
    const withPushed = (id: GrainId) => ({ ...emptyState, pushed: new Map([[id, value]]) });
    expect(pushedDiffer(read, withPushed(own))).toBe(undefined);
    expect(pushedDiffer(read, withPushed(foreign))).toMatch(/is a value of somebody else/);
    chaos.arm('vault', 0);
    expect(() => pushedDiffer(read, withPushed(own))).toThrow(/the vault fails|of the vault/);
  });
});

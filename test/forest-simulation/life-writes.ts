/**
 * The writes of a program: each is asked of the forest and noted in the ledger, with what its body
 * did and what it must resolve to.
 *
 * Invariant: an entry has its effects before its body ends, so that the ledger's states are right
 * whenever a commit can be under way.
 */

import type { Transaction } from '../../src/forest/index.ts';
import { Body, BodyError, type Pause } from './body.ts';
import type { ForestLife } from './forest-life.ts';
import type { Entry } from './model/ledger.ts';
import type { Effect } from './model/model-state.ts';
import { keysMax, type Op, type Step } from './model/plan.ts';
import type { Handle } from './observation.ts';
import { turns } from './world/chaos.ts';
import { nameOf, SimulationFailure, unexpected } from './world/failure.ts';
import type { InFlight } from './world/in-flight.ts';

export class LifeWrites {
  readonly #life: ForestLife;

  constructor(life: ForestLife) {
    this.#life = life;
    life.onOutsideWrite = (tree, key) => this.#outside(tree, key);
    life.onListenerWrite = (batch) => this.put(batch % 2, batch % keysMax, batch);
  }

  #handle(tree: number): Handle {
    return this.#life.trees[tree] as Handle;
  }

  put(tree: number, key: number, value: number): void {
    const entry = this.#life.ledger.add('put');
    entry.effects = [{ put: [[key, value]], tree }];
    this.#life.ended(entry);
    this.#life.write(entry, this.#handle(tree).put(key, value));
  }

  delete(tree: number, key: number): void {
    const entry = this.#life.ledger.add('delete');
    entry.effects = [{ delete: [key], tree }];
    this.#life.ended(entry);
    const before = this.#life.isWindow ? undefined : this.#entryBefore(entry, tree, key);
    this.#life.write(entry, this.#handle(tree).delete(key), (wasThere) => {
      if (before === undefined || (before() === undefined) === !wasThere) return;
      throw new SimulationFailure('delete resolves', `to ${wasThere}`);
    });
  }

  /** The value of a key below an entry, or nothing where a fault was at work meanwhile. */
  #entryBefore(entry: Entry, tree: number, key: number): (() => number | undefined) | undefined {
    if (this.#life.chaos.fired > 0) return undefined;
    const first = this.#life.ledger.notRunBefore(entry);
    if (first !== undefined) return undefined;
    const value = this.#life.ledger.tip(entry).trees.get(tree)?.entries.get(key);
    return () => value;
  }

  update({ tree, key, to }: Extract<Step, { do: 'update' }>): void {
    const entry = this.#life.ledger.add('update');
    const change = (current: number | undefined): number | null => {
      this.#life.ended(entry);
      if (to === 'throw') {
        entry.thrown = new BodyError('the update throws');
        throw entry.thrown;
      }
      if (!this.#life.isWindow) {
        const expected = this.#life.ledger.tip(entry).trees.get(tree)?.entries.get(key);
        if (expected !== current) {
          this.#life.fail(
            new SimulationFailure('update', `is given ${current}, expected ${expected}`),
          );
        }
      }
      const effect: Effect = to === 'null' ? { delete: [key], tree } : { put: [[key, to]], tree };
      entry.effects = [effect];
      return to === 'null' ? null : to;
    };
    this.#life.write(entry, this.#handle(tree).update(key, change));
  }

  /** A write that the contract refuses: it is made within a body and not through `tx`. */
  #outside(tree: number, key: number): void {
    const what = 'a write within a body, not through tx,';
    const resolved = (): void => {
      throw new SimulationFailure(`${what} is not refused`);
    };
    const rejected = (error: unknown): void => {
      if (nameOf(error) === 'VARVE_BUSY') this.#life.reached.note('write within a body refused');
      else if (!this.#life.accepts(error)) throw unexpected(what, error);
    };
    const write = this.#handle(tree).put(key, 1);
    this.#life.follow({ name: what, isWrite: true }, write, resolved, rejected);
  }

  transaction({ ops, catches }: Extract<Step, { do: 'transaction' }>): void {
    const entry = this.#life.ledger.add('a transaction');
    const token = {};
    const isAwaiting = ops.some((op) => awaitedOps.has(op.do));
    const run = (tx: Transaction): Generator<Pause, void> =>
      new Body(this.#life, entry, tx).run(ops, catches === true);
    const awaiting = async (tx: Transaction): Promise<object> => {
      return await this.#within(entry, async () => {
        await finishLater(run(tx), this.#life.inFlight);
        return token;
      });
    };
    const synchronous = (tx: Transaction): object =>
      this.#withinSync(entry, () => {
        finish(run(tx));
        return token;
      });
    const promise = this.#life.forest.transaction(isAwaiting ? awaiting : synchronous);
    this.#life.write(entry, promise, (value) => {
      if (value === token) return;
      throw new SimulationFailure('a transaction resolves to what its body did not return');
    });
  }

  async #within<T>(entry: Entry, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      entry.thrown = error;
      throw error;
    } finally {
      this.#life.ended(entry);
    }
  }

  #withinSync<T>(entry: Entry, act: () => T): T {
    try {
      return act();
    } catch (error) {
      entry.thrown = error;
      throw error;
    } finally {
      this.#life.ended(entry);
    }
  }

  /** On the calling thread. Refused, before the body runs, exactly while something is under way. */
  transactionSync({ ops, catches }: Extract<Step, { do: 'sync' }>): void {
    const life = this.#life;
    const entry = life.ledger.add('a synchronous transaction');
    const token = {};
    let hasRun = false;
    const isBusy = life.inFlight.isWriting;
    life.counts.transactions += 1;
    const body = (tx: Transaction): object => {
      hasRun = true;
      return this.#withinSync(entry, () => {
        finish(new Body(life, entry, tx).run(ops, catches === true));
        return token;
      });
    };
    try {
      const value = life.forest.transactionSync(body);
      life.resolved(entry);
      if (value !== token) throw new SimulationFailure('transactionSync returns something else');
    } catch (error) {
      if (error instanceof SimulationFailure) throw error;
      if (nameOf(error) !== 'VARVE_BUSY' || entry.thrown === error) {
        life.rejected(entry, error);
        return;
      }
      entry.phase = 'gone';
      life.ledger.fold();
      life.reached.note('transactionSync busy');
      if (!isBusy) throw unexpected('transactionSync, with nothing under way,', error);
      if (hasRun && !life.leavesOut('busy')) {
        throw unexpected('transactionSync, whose body ran,', error);
      }
    }
  }

  /** Many commits, one after another. */
  burst({ tree, count, width = 1 }: Extract<Step, { do: 'burst' }>): void {
    for (let at = 0; at < count; at++) {
      const key = (at * 7) % keysMax;
      const op: Op = { do: 'puts', tree, key, step: 1, count: width, value: at };
      this.transactionSync({ do: 'sync', ops: [op] });
      if (width > 1) this.#life.lookAtRoot();
    }
  }
}

const awaitedOps = new Set<string>(['wait', 'gate', 'getAsync', 'rangeAsync']);

/** Runs a body to its end without waiting where it would. */
function finish(run: Generator<Pause, void>): void {
  for (let next = run.next(); next.done !== true; ) {
    try {
      if (next.value.do === 'awaitedRead') next.value.atOnce();
    } catch (error) {
      next = run.throw(error);
      continue;
    }
    next = run.next();
  }
}

async function finishLater(run: Generator<Pause, void>, inFlight: InFlight): Promise<void> {
  for (let next = run.next(); next.done !== true; ) {
    try {
      await passed(next.value, inFlight);
    } catch (error) {
      next = run.throw(error);
      continue;
    }
    next = run.next();
  }
}

function passed(pause: Pause, inFlight: InFlight): Promise<void> {
  if (pause.do === 'awaitedRead') return pause.later();
  return pause.do === 'wait' ? turns(pause.turns) : inFlight.atGate(pause.gate);
}

/**
 * What is under way in a life: promises that have not settled, gates that bodies wait at, and
 * errors that arrive where nobody awaits them.
 *
 * Invariant: whether something ever settles is decided by turns of the event loop in which nothing
 * happens, not by the clock.
 */

import { turns } from './chaos.ts';
import { nameOf, SimulationFailure } from './failure.ts';

/** Long work gives the event loop a turn at every second look at the clock, if that is slow. */
const idleTurnsMax = 20_000;
const turnsAfter = 12;

export class InFlight {
  readonly #names = new Map<number, string>();
  #number = 0;
  #settled = 0;
  #writes = 0;
  readonly #gates = new Map<
    number,
    { readonly promise: Promise<void>; readonly open: () => void }
  >();

  /** Follows a promise to its end; the handlers must not throw. */
  follow<T>(
    what: { readonly name: string; readonly isWrite: boolean },
    promise: Promise<T>,
    then: { readonly resolved: (value: T) => void; readonly rejected: (error: unknown) => void },
  ): void {
    const number = this.#number++;
    this.#names.set(number, what.name);
    if (what.isWrite) this.#writes += 1;
    const over = (): void => {
      this.#names.delete(number);
      this.#settled += 1;
      if (what.isWrite) this.#writes -= 1;
    };
    promise.then(
      (value) => {
        over();
        then.resolved(value);
      },
      (error: unknown) => {
        over();
        then.rejected(error);
      },
    );
  }

  /** A write has been asked for and has not settled. */
  get isWriting(): boolean {
    return this.#writes > 0;
  }

  /** Resolves when the gate opens next. */
  atGate(number: number): Promise<void> {
    const known = this.#gates.get(number);
    if (known !== undefined) return known.promise;
    let open = (): void => undefined;
    const promise = new Promise<void>((resolve) => {
      open = resolve;
    });
    this.#gates.set(number, { promise, open });
    return promise;
  }

  openGate(number: number): void {
    const gate = this.#gates.get(number);
    this.#gates.delete(number);
    gate?.open();
  }

  /** Opens gates until everything has settled; `progress` grows with whatever else happens. */
  async settle(progress: () => number): Promise<void> {
    let before = -1;
    for (let idle = 0; this.#names.size > 0; idle++) {
      for (const number of [...this.#gates.keys()]) this.openGate(number);
      await turns(1);
      const now = progress() + this.#settled;
      if (now !== before) idle = 0;
      before = now;
      if (idle > idleTurnsMax) {
        const names = [...this.#names.values()];
        throw new SimulationFailure(`never settles: ${names[0]}`, names.join(', '));
      }
    }
    await turns(turnsAfter);
  }
}

/** Errors that nobody has handled; stands in for whoever else listens for them meanwhile. */
export class UnhandledErrors {
  readonly errors: unknown[] = [];
  readonly #events = ['unhandledRejection', 'uncaughtException'] as const;
  readonly #others = new Map<string, ((...args: never[]) => void)[]>();
  readonly #listener = (error: unknown): void => {
    this.errors.push(error);
  };

  constructor() {
    for (const event of this.#events) {
      this.#others.set(event, process.listeners(event as 'exit') as never);
      process.removeAllListeners(event);
      process.on(event, this.#listener);
    }
  }

  stop(): void {
    for (const event of this.#events) {
      process.off(event, this.#listener);
      for (const other of this.#others.get(event) ?? []) process.on(event, other as () => void);
    }
  }

  /** Throws for the first of them that is not expected. */
  check(isExpected: (error: unknown) => boolean): void {
    const error = this.errors.find((one) => !isExpected(one));
    if (error === undefined) return;
    throw new SimulationFailure(`unhandled: ${nameOf(error)}`, String(error), { cause: error });
  }
}

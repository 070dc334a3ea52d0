/**
 * What has been asked of a forest, in the order in which it was asked, and which states may
 * therefore be the durable one.
 *
 * Invariant (the contract's): bodies run one after another, in the order of the calls, each on the
 * state of those before; what is durable is what the first so many of them leave behind. While a
 * fault is at work, some that followed one another may be missing, never anything else.
 */

import { appliedAll, type Effect, emptyState, type State } from './model-state.ts';

export type Phase = 'queued' | 'ended' | 'resolved' | 'gone' | 'uncertain';

export class Entry {
  readonly what: string;
  effects: Effect[] = [];
  phase: Phase = 'queued';
  /** What its body threw. */
  thrown: unknown;
  /** The disk's operations begun when the body had ended, and when its promise resolved. */
  endedAt = Number.POSITIVE_INFINITY;
  resolvedAt = Number.POSITIVE_INFINITY;

  constructor(what: string) {
    this.what = what;
  }

  get isSettled(): boolean {
    return this.phase !== 'queued' && this.phase !== 'ended';
  }
}

/** So many of the newest entries may each fail by itself: more would be too many states. */
const failingMax = 14;

export class Ledger {
  /** The state below every entry that has not been folded into it. */
  #base: State = emptyState;
  readonly #entries: Entry[] = [];
  /** All that has ever become durable, oldest first: for power cuts. */
  readonly history: Entry[] = [];
  /** Rejected by a store that does not know: there or not after reopening. */
  #uncertain: Entry[] = [];

  add(what: string): Entry {
    const entry = new Entry(what);
    this.#entries.push(entry);
    return entry;
  }

  get unsettled(): readonly Entry[] {
    return this.#entries.filter(({ isSettled }) => !isSettled);
  }

  /** Entries whose effects may be or become durable, those before `entry` where it is given. */
  #pending(entry?: Entry): Entry[] {
    const end = entry === undefined ? this.#entries.length : this.#entries.indexOf(entry);
    const all = this.#entries.slice(0, end);
    return all.filter(({ phase }) => phase !== 'gone' && phase !== 'uncertain');
  }

  /** The first entry before this one whose body has not run, as it must have. */
  notRunBefore(entry: Entry): Entry | undefined {
    return this.#pending(entry).find(({ phase }) => phase === 'queued');
  }

  /** The state that the body of an entry runs on. */
  tip(entry: Entry): State {
    return this.#after(this.#pending(entry));
  }

  /**
   * The states that it may run on while a fault is at work; the likeliest first. In a poisoned store
   * each body that pushes fails by itself, besides those whose commit has failed.
   */
  *tips(entry: Entry, isPoisoned: boolean): Generator<State> {
    yield this.tip(entry);
    const pending = this.#pending(entry);
    yield* this.#withGaps(pending);
    if (!isPoisoned) return;
    const failing = pending.filter(({ phase }) => phase !== 'resolved').slice(-failingMax);
    for (let out = 1; out < 2 ** failing.length; out++) {
      const gone = new Set(failing.filter((_, at) => ((out >> at) & 1) === 1));
      yield this.#after(pending.filter((one) => !gone.has(one)));
    }
  }

  #after(entries: readonly Entry[]): State {
    return entries.reduce((state, { effects }) => appliedAll(state, effects), this.#base);
  }

  /** The states that reads may see now, the likeliest first. */
  durable(gaps: boolean): State[] {
    const all = this.#pending();
    const known = all.findLastIndex(({ phase }) => phase === 'resolved');
    // With a fault at work: its body has not run before a later one resolved, so it has failed, and
    // its rejection is on its way.
    const pending = gaps ? all.filter(({ phase }, at) => phase !== 'queued' || at > known) : all;
    const blocked = pending.findIndex(({ phase }) => phase === 'queued');
    const ran = blocked < 0 ? pending : pending.slice(0, blocked);
    const least = ran.findLastIndex(({ phase }) => phase === 'resolved') + 1;
    const states = this.#prefixes(ran, least);
    if (!gaps) return states;
    for (let end = ran.length; end >= least; end--) {
      states.push(...this.#withGaps(ran.slice(0, end)));
    }
    return states;
  }

  #prefixes(entries: readonly Entry[], least: number): State[] {
    const states: State[] = [];
    let state = this.#base;
    for (const [at, { effects }] of entries.entries()) {
      if (at >= least) states.push(state);
      state = appliedAll(state, effects);
    }
    return [...states, state];
  }

  /**
   * Each way of leaving out entries that follow one another and have not resolved; few before many,
   * since what one of them archived may be readable still, and then more than one way fits.
   */
  #withGaps(entries: readonly Entry[]): State[] {
    const states: State[] = [];
    for (let count = 1; count <= entries.length; count++) {
      for (let from = 0; from + count <= entries.length; from++) {
        const to = from + count;
        if (entries.slice(from, to).some(({ phase }) => phase === 'resolved')) continue;
        const rest = [...entries.slice(0, from), ...entries.slice(to)];
        states.push(this.#after(rest));
      }
    }
    return states;
  }

  /** Takes what is decided into the base. */
  fold(): void {
    while (this.#entries[0]?.isSettled === true) {
      const entry = this.#entries.shift() as Entry;
      if (entry.phase === 'uncertain') this.#uncertain.push(entry);
      if (entry.phase !== 'resolved') continue;
      this.#base = appliedAll(this.#base, entry.effects);
      this.history.push(entry);
    }
  }

  get isUncertain(): boolean {
    return this.#uncertain.length > 0;
  }

  /**
   * The states that a new opening may show, once everything has settled: with the first so many of
   * those that are uncertain. A body that ended after the failed sync had begun is in no batch.
   */
  reopened(failedSync: number): State[] {
    const states = [this.#base];
    for (const { effects, endedAt } of this.#uncertain) {
      if (endedAt >= failedSync) break;
      states.push(appliedAll(states.at(-1) as State, effects));
    }
    return states;
  }

  /** The opening has shown this one. */
  settleOn(state: State): void {
    this.#base = state;
    this.#uncertain = [];
  }

  /** The states that a power cut at this operation may leave, where there was no fault. */
  afterCut(operation: number): State[] {
    const { history } = this;
    const least = history.findLastIndex(({ resolvedAt }) => resolvedAt <= operation) + 1;
    const begun = history.findIndex(({ endedAt }) => endedAt > operation);
    const most = begun < 0 ? history.length : begun;
    const states: State[] = [];
    let state = emptyState;
    for (const [at, { effects }] of history.slice(0, most).entries()) {
      if (at >= least) states.push(state);
      state = appliedAll(state, effects);
    }
    return [...states, state];
  }
}

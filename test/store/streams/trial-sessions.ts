/**
 * The sessions of a random program of streams, with the pushes that are in flight, beside the model
 * of what they have asked for.
 *
 * Invariant: each push ends as its source and its session have it: well, or with the verdict that a
 * step has brought about. A session with a push in flight is busy.
 */

import { isVarveError } from '../../../src/errors.ts';
import type { GrainId, Session } from '../../../src/index.ts';
import { patternOf } from '../../support/bytes.ts';
import { FedSource } from './fed-source.ts';
import type { TrialGround } from './trial-ground.ts';

interface Push {
  readonly source: FedSource;
  readonly bytes: Uint8Array;
  readonly abort: AbortController;
  /** What it must end with; undefined while it may still end well. */
  verdict: unknown;
  settled: boolean;
}

interface Work {
  readonly session: Session;
  readonly own: Map<GrainId, Uint8Array>;
  readonly archived: Set<GrainId>;
  readonly pushes: Set<Push>;
}

const chunks = [0, 1, 100, 65_536, 300_000, 524_288, 2_000_000];

export class TrialSessions {
  readonly #ground: TrialGround;
  #works: Work[] = [];

  constructor(ground: TrialGround) {
    this.#ground = ground;
  }

  /** Own values of open sessions are read by their sessions. */
  compare(): void {
    for (const { session, own } of this.#works) {
      for (const [id, bytes] of [...own].slice(-2)) {
        this.#ground.same(() => session.get(id), bytes);
      }
    }
  }

  abandonAll(): void {
    for (const work of this.#works) {
      work.session.abandon();
      this.#drop(work, 'VARVE_SESSION_ENDED');
    }
  }

  /** The store is being closed. */
  dropAll(): void {
    for (const work of this.#works) this.#drop(work, 'VARVE_CLOSED');
  }

  begin(): Work {
    const session = this.#ground.store.session();
    const work = { session, own: new Map(), archived: new Set<GrainId>(), pushes: new Set<Push>() };
    this.#works.push(work);
    return work;
  }

  #work(): Work {
    return this.#works.length < 4
      ? (this.#ground.of(this.#works) ?? this.begin())
      : (this.#works[0] as Work);
  }

  push(): void {
    const { session, own } = this.#work();
    const bytes = this.#ground.bytes();
    own.set(session.push(bytes), bytes);
  }

  pushAsync(): void {
    const bytes = this.#ground.bytes();
    this.#follow(this.#work(), new FedSource(bytes), (session) => session.pushAsync(bytes));
  }

  pushStream(): void {
    const bytes = this.#ground.bytes();
    const source = new FedSource(bytes);
    const given = this.#ground.random.chance(0.5) ? source.iterable : source.stream;
    this.#follow(this.#work(), source, (session, { signal }) =>
      session.pushStream(given, { length: bytes.length, signal }),
    );
  }

  #follow(
    work: Work,
    source: FedSource,
    begin: (session: Session, abort: AbortController) => Promise<GrainId>,
  ): void {
    const abort = new AbortController();
    const { left } = source;
    const bytes = patternOf(left, this.#ground.seed);
    const push: Push = { source, bytes, abort, verdict: undefined, settled: false };
    work.pushes.add(push);
    const pushing = begin(work.session, abort);
    pushing
      .then(
        (id) => {
          this.#ended(work, push);
          if (push.verdict !== undefined) throw new Error('a push ended well that must not');
          work.own.set(id, bytes);
          this.#ground.count('push');
        },
        (error: unknown) => {
          this.#ended(work, push);
          if (push.verdict === undefined) this.#ground.checkRefusal('push', error);
          else if (error !== push.verdict && !isVarveError(error, push.verdict as never)) {
            if (!this.#ground.mayRefuse || !isVarveError(error, 'VARVE_IO')) throw error;
          }
          this.#ground.count(typeof push.verdict === 'string' ? push.verdict : 'push failed');
        },
      )
      .catch((error: unknown) => this.#ground.broken.push(error));
  }

  #ended(work: Work, push: Push): void {
    push.settled = true;
    work.pushes.delete(push);
  }

  #pushes(): Push[] {
    return this.#works.flatMap(({ pushes }) => [...pushes]);
  }

  feed(): void {
    const push = this.#ground.of(this.#pushes());
    if (push === undefined) return;
    const { source } = push;
    const chunk = Math.min(this.#ground.of(chunks) ?? 0, source.left);
    source.feed(chunk);
    if (source.left === 0) source.end();
  }

  /** Something goes wrong with a stream that is being pushed. */
  spoil(): void {
    const push = this.#ground.of(this.#pushes());
    if (push === undefined || push.verdict !== undefined || push.source.asked === 0) return;
    const { source } = push;
    // All may have been given: what comes after its end is not heard.
    if (source.left === 0) return;
    const failure = new Error('made for the test');
    const kinds: (() => void)[] = [
      () => {
        push.verdict = failure;
        source.fail(failure);
      },
      () => {
        push.verdict = 'VARVE_INVALID_ARGUMENT';
        source.feed(source.left + 1);
      },
      () => {
        push.verdict = 'VARVE_INVALID_ARGUMENT';
        source.end();
      },
      () => {
        push.verdict = failure;
        push.abort.abort(failure);
      },
    ];
    this.#ground.of(kinds)?.();
  }

  archive(): void {
    const { session, archived } = this.#work();
    const live = [...this.#ground.values].filter(([id, { archivedIn }]) => {
      return archivedIn === undefined && !this.#works.some((work) => work.archived.has(id));
    });
    for (const [id] of live.slice(0, 1 + this.#ground.random.below(3))) {
      try {
        session.archive(id);
        archived.add(id);
      } catch (error) {
        this.#ground.checkRefusal('archive', error);
      }
    }
  }

  withdraw(): void {
    const work = this.#work();
    const id = this.#ground.of([...work.own.keys()]);
    if (id === undefined) return;
    work.session.archive(id);
    work.own.delete(id);
    this.#ground.count('withdrawn');
  }

  abandon(): void {
    const work = this.#work();
    work.session.abandon();
    this.#drop(work, 'VARVE_SESSION_ENDED');
  }

  #drop(work: Work, code: string): void {
    this.#works = this.#works.filter((one) => one !== work);
    for (const push of work.pushes) push.verdict ??= code;
  }

  adopt(): void {
    const [work, other] = this.#works;
    if (work === undefined || other === undefined) return;
    if (other.pushes.size > 0) {
      this.#refusesAsBusy(() => work.session.adopt(other.session));
      return;
    }
    work.session.adopt(other.session);
    for (const [id, bytes] of other.own) work.own.set(id, bytes);
    for (const id of other.archived) work.archived.add(id);
    this.#drop(other, 'VARVE_SESSION_ENDED');
    this.#ground.count('adopted');
  }

  #refusesAsBusy(call: () => unknown): void {
    try {
      call();
    } catch (error) {
      if (!isVarveError(error, 'VARVE_BUSY')) throw error;
      this.#ground.count('VARVE_BUSY');
      return;
    }
    throw new Error('a push is in flight, and nothing is busy');
  }

  async commit(): Promise<void> {
    const work = this.#works.find(({ pushes }) => pushes.size === 0) ?? this.#works[0];
    if (work === undefined) return;
    if (work.pushes.size > 0) {
      const busy = await work.session.commit().catch((error: unknown) => error);
      this.#refusesAsBusy(() => {
        throw busy;
      });
      this.#refusesAsBusy(() => work.session.commitSync());
      return;
    }
    this.#drop(work, '');
    const batch = await this.#ground.tried('commit', () => work.session.commit());
    if (batch === undefined) return;
    for (const [id, bytes] of work.own) this.#ground.add(id, { bytes, from: batch });
    for (const id of work.archived) {
      const value = this.#ground.values.get(id);
      if (value !== undefined) value.archivedIn = batch;
    }
  }
}

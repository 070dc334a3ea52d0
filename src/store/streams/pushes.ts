/**
 * The pushes of a store that take several turns: `Session.pushAsync`, `Session.pushStream` and
 * `Session.pushStreamWith`.
 *
 * Invariants:
 * - A push that fails, for any reason, leaves nothing: its grains are free again when its writes
 *   have returned. A power cut finds grains that no record names.
 * - The session's values of earlier pushes stay, and it can be used on. Only a failed write of what
 *   is staged fails the session too, as after `Session.push`.
 * - Closing the store waits for all of them (`settled`): they write to the file.
 */

import { invalidArgument } from '../../errors.ts';
import { type GrainId, joinGrainId } from '../../format/grain-id.ts';
import { onAbort } from '../../util/abort-listeners.ts';
import { checkNames, checkSignal, type NamesOf } from '../../util/options.ts';
import { type ByteSource, readSource } from '../../util/streams/byte-source.ts';
import { checkSession } from '../commit/open-sessions.ts';
import type { SessionWork } from '../commit/session-work.ts';
import { writeAheadAsync, writeLargeValue } from '../commit/value-writer.ts';
import type { Reservation } from '../grains/atlas.ts';
import type { StoreCore } from '../state/core.ts';
import { stagedBytesMax } from '../values/staging-memory.ts';
import { checkData, checkLength } from '../values/value-arguments.ts';
import { PieceMemory } from './piece-memory.ts';
import { PieceWriter } from './piece-writer.ts';
import { Receiver } from './receiver.ts';
import { RunningPush } from './running-push.ts';

export interface PushStreamOptions {
  /** Bytes of the value: the source must yield as many. */
  length: number;
  /** Ends the push with its reason. */
  signal?: AbortSignal | undefined;
}

const names: NamesOf<PushStreamOptions> = { length: true, signal: true };

/** Checked options, and the method that was called. */
interface StreamPlan extends PushStreamOptions {
  readonly method: string;
}

/** A push whose source is being read, and its grains if it has them from the beginning. */
interface Begun {
  readonly source: ByteSource;
  readonly place: Reservation | undefined;
}

export class Pushes {
  readonly #core: StoreCore;
  readonly #memory = new PieceMemory();
  readonly #running = new Set<Promise<unknown>>();

  constructor(core: StoreCore) {
    this.#core = core;
  }

  /** A push is in flight. */
  get areRunning(): boolean {
    return this.#running.size > 0;
  }

  /** Resolves when every push that is in flight has settled. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }

  /** `Session.pushAsync`. */
  async bytes(work: SessionWork, value: unknown): Promise<GrainId> {
    checkSession(work, this.#core);
    const data = checkData('Session.pushAsync', value);
    const push = new RunningPush(this.#core, work);
    return await this.#run(push, async () => {
      push.check();
      const place = push.reserve(data.length);
      if (place.count * place.stratum.grainBytes <= stagedBytesMax)
        return await staged(push, place, data);
      try {
        const check = (): void => push.check();
        const how = { method: 'Session.pushAsync', check };
        const crc = await writeLargeValue(this.#core, place, data, how);
        return work.add(place, data.length, crc).id;
      } catch (error) {
        push.giveBack(place);
        throw error;
      }
    });
  }

  /** `Session.pushStream`. */
  async stream(work: SessionWork, given: unknown, options: PushStreamOptions): Promise<GrainId> {
    const method = 'Session.pushStream';
    const plan = this.#check(method, work, options);
    const source = readSource(method, given);
    return await this.#receive(work, plan, () => ({ source, place: undefined }));
  }

  /** `Session.pushStreamWith`. */
  async streamWith(
    work: SessionWork,
    make: (id: GrainId) => unknown,
    options: PushStreamOptions,
  ): Promise<GrainId> {
    const method = 'Session.pushStreamWith';
    const plan = this.#check(method, work, options);
    if (typeof make !== 'function') throw invalidArgument(method, 'a function', make);
    return await this.#receive(work, plan, (push) => {
      const place = push.reserve(plan.length);
      const { stratum, index } = place;
      try {
        const id = joinGrainId(stratum.basin, stratum.number, index);
        return { source: readSource(method, make(id)), place };
      } catch (error) {
        push.giveBack(place);
        throw error;
      }
    });
  }

  #check(method: string, work: SessionWork, options: PushStreamOptions): StreamPlan {
    checkSession(work, this.#core);
    checkNames(method, options, names);
    const { length } = options;
    checkLength(method, length);
    return { method, length, signal: checkSignal(options.signal) };
  }

  async #receive(
    work: SessionWork,
    { method, length, signal }: StreamPlan,
    begin: (push: RunningPush) => Begun,
  ): Promise<GrainId> {
    const push = new RunningPush(this.#core, work);
    return await this.#run(push, async () => {
      const { source, place: reserved } = begin(push);
      const stopAborts = signal && onAbort(signal, () => push.fail(signal.reason));
      if (signal?.aborted) push.fail(signal.reason);
      const writer = new PieceWriter(push, this.#memory, { length, place: reserved });
      try {
        await new Receiver(push, source, method).receive(writer, length);
        if (!writer.isLong) return await staged(push, writer.takePlace(), writer.only);
        const { place, crc } = await writer.end();
        return work.add(place, length, crc).id;
      } finally {
        stopAborts?.();
        await writer.settle();
      }
    });
  }

  /** Runs a push to its end. Rejects as `run`. */
  async #run<Result>(push: RunningPush, run: () => Promise<Result>): Promise<Result> {
    push.work.pushBegins(push);
    const running = run();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
      push.work.pushEnded(push);
    }
  }
}

/**
 * Stages a value, and writes what is staged if that is much. If the write fails, so does the
 * session.
 */
async function staged(push: RunningPush, place: Reservation, data: Uint8Array): Promise<GrainId> {
  const { core, work } = push;
  const value = work.stage(place, data);
  if (work.stagedBytes <= stagedBytesMax) return value.id;
  await writeAheadAsync(core, work);
  try {
    push.check();
  } catch (error) {
    if (work.isOpen) work.withdraw(value);
    throw error;
  }
  return value.id;
}

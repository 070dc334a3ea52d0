/**
 * A session of a forest, as its user holds it: values that belong to a later transaction.
 *
 * Invariant: its values go through the vault like those of a transaction. They are in the file
 * before their transaction begins, in grains that no record names: a power cut, or a session that
 * is never adopted, leaves nothing. `Transaction.adopt` commits them.
 */

import { invalidArgument, VarveError } from '../../errors.ts';
import type { BatchId, GrainId, PushStreamOptions } from '../../index.ts';
import { isBytes } from '../../util/bytes.ts';
import { checkNames, checkSignal, type NamesOf } from '../../util/options.ts';
import type { ForestSession } from '../contract.ts';
import { frameBytesDefault } from '../nodes/framed-value.ts';
import { openValue, pushValue, pushValueAsync } from '../nodes/pushed-value.ts';
import type { OpenForestSessions } from './open-sessions.ts';
import { pushFrames } from './sealed-stream.ts';
import type { ForestSessionWork } from './session-work.ts';

/** The parts of the forest that a session needs. */
export interface ForestSessionHome {
  readonly open: OpenForestSessions;
  /** A transaction archives the value, and is not durable yet. */
  isArchived(id: GrainId): boolean;
}

const names: NamesOf<PushStreamOptions> = { length: true, signal: true };

let read: (session: unknown) => { home: ForestSessionHome; work: ForestSessionWork } | undefined;

/** Ends a session for its user and hands over its work. Throws as `Transaction.adopt`. */
export function takeSession(
  method: string,
  session: unknown,
  nodes: ForestSessionWork['nodes'],
): ForestSessionWork {
  const found = read(session);
  if (found === undefined || found.work.nodes !== nodes) {
    throw invalidArgument(method, 'a session of Forest.session of the same forest', session);
  }
  const { home, work } = found;
  work.checkAdoptable();
  home.open.delete(work);
  work.becomeAdopted();
  return work;
}

export class OwnForestSession implements ForestSession {
  readonly #home: ForestSessionHome;
  readonly #work: ForestSessionWork;

  static {
    read = (session) => {
      if (typeof session !== 'object' || session === null || !(#work in session)) return undefined;
      return { home: session.#home, work: session.#work };
    };
  }

  constructor(home: ForestSessionHome, work: ForestSessionWork) {
    this.#home = home;
    this.#work = work;
    home.open.add(work, this);
  }

  push(data: Uint8Array): GrainId {
    const work = this.#work;
    work.checkOpen();
    const id = pushValue(work.nodes, work.session, data);
    work.pushed.add(id);
    return id;
  }

  // The work pushes: a push that waits does not keep the session from collection.

  pushAsync(data: Uint8Array): Promise<GrainId> {
    return pushBytes(this.#work, data);
  }

  pushStream(
    source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
    options: PushStreamOptions,
  ): Promise<GrainId> {
    return pushSource(this.#work, source, options);
  }

  archive(id: GrainId): void {
    const work = this.#work;
    work.checkOpen();
    // It was pushed and archived before it was durable: no session of the store has a claim on it.
    if (this.#home.isArchived(id)) {
      const message = 'a transaction archives the value already';
      throw new VarveError('VARVE_ALREADY_ARCHIVED', message, { grainId: id });
    }
    work.session.archive(id);
    if (!work.pushed.delete(id)) work.archived += 1;
  }

  get(id: GrainId): Uint8Array<ArrayBuffer> | undefined {
    const { nodes, session } = this.#work;
    this.#work.checkOpen();
    return openValue(nodes, id, session.get(id));
  }

  adopt(other: ForestSession): void {
    const work = this.#work;
    work.checkOpen();
    const found = read(other);
    if (found === undefined || found.work === work || found.work.nodes !== work.nodes) {
      throw invalidArgument('Session.adopt', 'another session of the same forest', other);
    }
    found.work.checkAdoptable();
    work.take(found.work);
    found.home.open.delete(found.work);
  }

  async commit(): Promise<BatchId> {
    throw notCommitted('commit');
  }

  commitSync(): BatchId {
    throw notCommitted('commitSync');
  }

  setEmbeddedHeader(_id: GrainId | null): void {
    throw notCommitted('setEmbeddedHeader');
  }

  checkpointTo(_batch: BatchId): void {
    throw notCommitted('checkpointTo');
  }

  abandon(): void {
    if (!this.#work.isOpen) return;
    this.#home.open.delete(this.#work);
    this.#work.giveUp();
  }

  [Symbol.dispose](): void {
    this.abandon();
  }
}

async function pushBytes(work: ForestSessionWork, data: Uint8Array): Promise<GrainId> {
  work.checkOpen();
  const { nodes, session } = work;
  const isFramed = nodes.vault?.overheadBytes !== undefined && isBytes(data);
  if (!isFramed || data.length <= frameBytesDefault) {
    return await work.push(() => pushValueAsync(nodes, session, data));
  }
  // Sealed frame by frame, so that the event loop has its turns.
  const given = {
    method: 'Session.pushAsync',
    source: once(data),
    options: { length: data.length },
  };
  return await work.push(() => pushFrames(nodes, session, given));
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data;
}

async function pushSource(
  work: ForestSessionWork,
  source: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>,
  options: PushStreamOptions,
): Promise<GrainId> {
  const method = 'Session.pushStream';
  work.checkOpen();
  const { nodes, session } = work;
  const { vault } = nodes;
  if (vault === undefined) return await work.push(() => session.pushStream(source, options));
  checkNames(method, options, names);
  const { length } = options;
  const signal = checkSignal(options.signal);
  if (!Number.isSafeInteger(length) || length < 0) {
    throw invalidArgument(method, 'a whole number of bytes', length);
  }
  if (vault.overheadBytes === undefined) {
    const message =
      `${method}: the vault '${vault.name}' has no overheadBytes, which streams need; ` +
      'push the bytes as one value';
    throw new VarveError('VARVE_INVALID_ARGUMENT', message);
  }
  const given = { method, source, options: { length, signal } };
  return await work.push(() => pushFrames(nodes, session, given));
}

function notCommitted(method: string): VarveError {
  const message = `Session.${method}: a session of a forest is committed by Transaction.adopt`;
  return new VarveError('VARVE_INVALID_ARGUMENT', message);
}

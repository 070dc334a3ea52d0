/**
 * The two copies of the file header in the writer's memory: the durable content of each, and the
 * content to be written.
 *
 * Invariant: at most one copy is being written, always the one that lags, or at opening one of two
 * with the same content. The other copy is durable and, with the log, gives the present state. A
 * change is complete only when both copies are durable with it (`agreed`). Does no I/O.
 */

import type { DocumentName } from '../../format/document.ts';
import { encodeFileHeader, type FileHeader, type SegmentExtent } from '../../format/file-header.ts';
import { pageBytes } from '../../format/layout.ts';
import { assert } from '../../util/assert.ts';
import type { FileWrite } from '../file/effects.ts';

/** The settled state, and the place of the log after it. */
export interface SettledState {
  readonly base: number;
  readonly checkpoint: number;
  readonly embeddedHeader: bigint;
  readonly root: DocumentName;
  readonly retainedLogBytes: number;
  readonly laneSectors: readonly [number, number];
}

/** The content of a copy besides its generation and `confirmed`. */
export interface HeaderContent {
  readonly settled: SettledState;
  readonly segments: readonly SegmentExtent[];
  readonly epoch: number;
  readonly clean: boolean;
}

interface Copy {
  generation: number;
  /** The version of the content that it durably holds. */
  version: number;
}

export class HeaderCopies {
  readonly #salt: Uint8Array;
  readonly #copies: [Copy, Copy];
  #content: HeaderContent;
  #version = 1;
  #generation: number;
  #pending: { copy: Copy; generation: number; version: number } | undefined;

  /** Requires: both copies durably hold `content`, with these generations. */
  constructor(salt: Uint8Array, content: HeaderContent, generations: readonly [number, number]) {
    this.#salt = salt;
    this.#content = content;
    this.#generation = Math.max(...generations);
    this.#copies = [
      { generation: generations[0], version: 1 },
      { generation: generations[1], version: 1 },
    ];
  }

  get content(): HeaderContent {
    return this.#content;
  }

  /** Both copies are durable with the newest content. */
  get agreed(): boolean {
    return this.#copies.every((copy) => copy.version === this.#version);
  }

  change(part: Partial<HeaderContent>): void {
    const { settled, epoch } = this.#content;
    assert(
      (part.settled?.base ?? settled.base) >= settled.base,
      'the settled base does not go back',
    );
    assert((part.epoch ?? epoch) >= epoch, 'an epoch does not go back');
    this.#content = { ...this.#content, ...part };
    this.#version += 1;
  }

  /**
   * Makes this copy the next to be written, whatever it holds. Requires: the other one is durable.
   */
  doubt(copy: number): void {
    assert(this.#copies[1 - copy]?.version === this.#version, 'one copy is always durable');
    (this.#copies[copy] as Copy).version = 0;
  }

  /**
   * The write of a copy that lags; undefined if none does, or if one is being written. Requires:
   * `confirmed` is durable.
   */
  plan(confirmed: number): FileWrite | undefined {
    if (this.#pending !== undefined || this.agreed) return undefined;
    assert(confirmed >= this.#content.settled.base, 'what is settled is durable');
    const [first, second] = this.#copies;
    const copy = lags(first, second) ? first : second;
    this.#generation += 1;
    const write = this.#encode(this.#copies.indexOf(copy), this.#generation, confirmed);
    this.#pending = { copy, generation: this.#generation, version: this.#version };
    return write;
  }

  /** Writes of both copies of a new store: neither has content to protect. */
  planBoth(confirmed: number): FileWrite[] {
    return this.#copies.map((_, at) => this.#encode(at, at + 1, confirmed));
  }

  #encode(copy: number, generation: number, confirmed: number): FileWrite {
    const { settled, ...rest } = this.#content;
    assert(settled.checkpoint <= settled.base, 'a checkpoint is settled after its batch');
    const header: FileHeader = { ...settled, ...rest, salt: this.#salt, generation, confirmed };
    return { offset: copy * pageBytes, chunks: [encodeFileHeader(header)] };
  }

  /** The planned write failed: the copy has its old or its new content, and is written again. */
  failed(): void {
    this.#pending = undefined;
  }

  /** A sync has completed that began after the planned write had returned. */
  synced(): void {
    if (this.#pending === undefined) return;
    const { copy, generation, version } = this.#pending;
    copy.generation = generation;
    copy.version = version;
    this.#pending = undefined;
  }
}

/** True if `one` must be written before `other`. */
function lags(one: Copy, other: Copy): boolean {
  if (one.version !== other.version) return one.version < other.version;
  return one.generation < other.generation;
}

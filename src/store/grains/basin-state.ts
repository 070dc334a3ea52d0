/**
 * One basin in memory: its strata, and the document that names them.
 *
 * Invariants:
 * - A basin that is not durable is known only to this process.
 * - The document that `name` names holds the batches up to `stamp`; `dirty` says that later changes
 *   are published, or that the document must be written for another reason.
 *
 * It reads and writes nothing.
 */

import { type DocumentName, noDocument } from '../../format/document.ts';
import { assert, checks } from '../../util/assert.ts';
import type { Stratum } from './stratum.ts';

/** A document as it is named, and the batch up to which it holds everything. */
interface Sealed {
  readonly name: DocumentName;
  readonly stamp: number;
}

const unwritten: Sealed = { name: noDocument, stamp: 0 };

export class BasinState {
  readonly strata: Stratum[];
  durable: boolean;
  /** It has published changes that no settle has written. */
  dirty: boolean;
  #sealed: Sealed;
  /** The document before the one that is being written. */
  #before: Sealed;

  /** `sealed`: its document, if it has one; `dirty`: a settle must write it. */
  constructor(strata: Stratum[], as: { durable: boolean; dirty: boolean; sealed?: Sealed }) {
    this.strata = strata;
    this.durable = as.durable;
    this.dirty = as.dirty;
    this.#sealed = as.sealed ?? unwritten;
    this.#before = this.#sealed;
  }

  /** The document as last written; generation 0: never written. */
  get name(): DocumentName {
    return this.#sealed.name;
  }

  get stamp(): number {
    return this.#sealed.stamp;
  }

  /** A published change is not in its document; or what its document names is written anew. */
  touched(): void {
    this.dirty = true;
  }

  /** The record that adds it is durable. */
  becomeDurable(): void {
    this.durable = true;
  }

  /** A settle writes its document, which holds the batches up to `stamp`. */
  sealedAs(name: DocumentName, stamp: number): void {
    assert(this.durable, 'only a durable basin is written');
    assert(name.generation === this.name.generation + 1, 'a basin goes to the slot not named');
    if (checks.strict) assert(stamp >= this.stamp, 'the stamp of a basin does not go back');
    this.#before = this.#sealed;
    this.#sealed = { name, stamp };
    this.dirty = false;
  }

  /** The disk refused the document of the last `sealedAs`: the one before it counts. */
  writeRefused(): void {
    this.#sealed = this.#before;
    this.dirty = true;
  }
}

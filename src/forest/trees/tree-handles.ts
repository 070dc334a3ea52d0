/**
 * The tree handles of a forest, and the schemas that they were asked with.
 *
 * Invariant: a handle keeps its schema for life. The last schema of each tree is remembered too,
 * for a bounded number of trees: two handles of one tree must agree before the tree exists.
 */

import { invalidArgument } from '../../errors.ts';
import { checkConfig, type TreeSchema } from './tree-schema.ts';

export type AnySchema = TreeSchema<unknown, unknown, unknown>;

/** Upper bound of remembered schemas, including those of trees that do not exist. */
const askedMax = 5000;

export class TreeHandles {
  readonly #schemas = new WeakMap<object, AnySchema>();
  /** The last schema of each tree, oldest first. */
  readonly #asked = new Map<string, AnySchema>();

  register(handle: object, schema: AnySchema): void {
    this.#schemas.set(handle, schema);
    this.#asked.delete(schema.name);
    this.#asked.set(schema.name, schema);
    if (this.#asked.size <= askedMax) return;
    // Forget the oldest. A tree with other options is still refused: its first commit checks again.
    for (const name of this.#asked.keys()) {
      this.#asked.delete(name);
      break;
    }
  }

  /** The schema that the tree was last asked with. */
  askedFor(name: string): AnySchema | undefined {
    return this.#asked.get(name);
  }

  /** Throws `VARVE_TREE_MISMATCH` if an earlier handle of the tree has another config. */
  checkAsked(schema: AnySchema): void {
    const asked = this.#asked.get(schema.name);
    if (asked !== undefined) checkConfig(schema.name, asked.config, schema.config);
  }

  /** The tree was dropped: a new one of its name may have another config. */
  forget(name: string): void {
    this.#asked.delete(name);
  }

  /** Throws `VARVE_INVALID_ARGUMENT`, naming `what`, if the handle is not a tree of this forest. */
  schemaOf(what: string, handle: unknown): AnySchema {
    const isObject = typeof handle === 'object' && handle !== null;
    const schema = isObject ? this.#schemas.get(handle) : undefined;
    if (schema === undefined) throw invalidArgument(what, 'a tree of this forest', handle);
    return schema;
  }
}

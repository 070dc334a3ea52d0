/**
 * A tree within a transaction: its editors, its log, and the record that it leaves.
 *
 * Invariant: the record describes the tree as it is now. It is undefined while there is no tree: a
 * new tree exists from the first change on. It checks no arguments and encodes no keys.
 */

import { corrupt } from '../../errors.ts';
import { assert, present } from '../../util/assert.ts';
import { ChangeLog, replayChanges } from '../journal/change-log.ts';
import { emptyRoot, longBit, longRefBytes, type NodeRef, type TreeRoot } from '../nodes/node.ts';
import { Summaries } from '../reads/summaries.ts';
import type { Edit } from '../trees/edit.ts';
import { historyDelete, historyKey, historyPut } from '../trees/history-key.ts';
import { type Rewrite, TreeEditor } from '../trees/tree-editor.ts';
import {
  droppedRecord,
  type ForestLimits,
  historyShapeOf,
  shapeOf,
  type TreeConfig,
  type TreeRecord,
} from '../trees/tree-record.ts';
import { checkConfig, type TreeSchema } from '../trees/tree-schema.ts';

/** The entries of a tree, or the changes of a versioned one. */
export type TreePart = 'main' | 'history';

const noValue = new Uint8Array(0);

export class OpenTree {
  readonly name: string;
  changed = false;
  /** Nodes have been stored anew, and its entries are as they were. */
  isRewritten = false;
  /** The changes to the tree; closed once there was one that a log cannot express. */
  readonly log: ChangeLog;
  readonly #edit: Edit;
  readonly #limits: ForestLimits;
  #config: TreeConfig | undefined;
  #main: TreeEditor | undefined;
  #history: TreeEditor | undefined;
  #historyBefore: TreeRoot = emptyRoot;
  #sequence = 0;
  /** The last `TreeSchema` that passed `checkConfig`: it skips the check. */
  #agreed: object | undefined;
  /** The `TreeSchema` with the reducer, if there is one. */
  #schema: TreeSchema<unknown, unknown, unknown> | undefined;

  constructor(name: string, edit: Edit, limits: ForestLimits, record: TreeRecord | undefined) {
    this.name = name;
    this.#edit = edit;
    this.#limits = limits;
    this.log = new ChangeLog(limits.journalBytes);
    if (record?.isDropped === true) this.#sequence = record.sequence;
    else if (record !== undefined) this.#take(record);
  }

  #take({ config, main, history, sequence }: TreeRecord): void {
    const shape = shapeOf(config, this.#limits);
    const { nodes } = this.#edit;
    this.#config = config;
    this.#agreed = undefined;
    this.#main = new TreeEditor(nodes, shape, main, this.#edit.of(shape));
    this.#history = undefined;
    this.#historyBefore = history;
    this.#sequence = sequence;
  }

  /** The editor of the history. Requires: the tree exists. */
  #historyEditor(): TreeEditor {
    const shape = historyShapeOf(this.#config as TreeConfig, this.#limits);
    const edit = this.#edit;
    this.#history ??= new TreeEditor(edit.nodes, shape, this.#historyBefore, edit.of(shape));
    return this.#history;
  }

  /** Throws `VARVE_TREE_MISMATCH`. */
  check<K, V, R>(schema: TreeSchema<K, V, R>): void {
    const config = this.#config;
    if (config === undefined || config === schema.config || this.#agreed === schema) return;
    checkConfig(this.name, config, schema.config);
    this.#agreed = schema;
  }

  get record(): TreeRecord | undefined {
    if (this.#config === undefined) return undefined;
    const main = this.#main?.root ?? emptyRoot;
    const history = this.#history?.root ?? this.#historyBefore;
    return { config: this.#config, main, history, sequence: this.#sequence };
  }

  /** The record for the catalog: a dropped tree leaves its last sequence number. */
  get left(): TreeRecord | undefined {
    return this.record ?? droppedRecord(this.#sequence);
  }

  get main(): TreeEditor | undefined {
    return this.#main;
  }

  /**
   * Becomes a copy of another tree, whose nodes are shared. No sequence number of either is given
   * again.
   */
  become(record: TreeRecord): void {
    assert(record.main.ref?.stored !== false, 'only stored nodes are shared');
    const { versioned } = record.config;
    const sequence = versioned ? Math.max(record.sequence, this.#sequence) : this.#sequence;
    this.#take({ ...record, sequence });
    this.changed = true;
    this.log.close();
  }

  /**
   * Stores nodes anew. `schema`: the tree's, if the program has opened it; packed leaves of a tree
   * with a reducer need it.
   */
  rewrite(
    part: TreePart,
    rewrite: Rewrite,
    schema: TreeSchema<unknown, unknown, unknown> | undefined,
  ): void {
    const config = present(this.#config, 'the layout of a tree that is rewritten');
    const shape =
      part === 'main' ? shapeOf(config, this.#limits) : historyShapeOf(config, this.#limits);
    const { main, history } = this.record as TreeRecord;
    const root = part === 'main' ? main : history;
    const { nodes } = this.#edit;
    const owner = this.#edit.of(shape);
    if (part === 'main' && schema?.config.reducer === config.reducer) this.#schema = schema;
    const summarize = (ref: NodeRef): void => {
      if (part === 'main') this.#summarizeFrom(ref);
    };
    const after = rewrite({ nodes, shape, root, owner, summarize });
    if (after.ref === root.ref) return;
    const editor = new TreeEditor(nodes, shape, after, owner);
    if (part === 'main') this.#main = editor;
    else this.#history = editor;
    this.isRewritten = true;
    this.log.close();
  }

  drop(): void {
    this.#main?.drop();
    if (this.#config?.versioned === true) this.#historyEditor().drop();
    this.#config = undefined;
    this.#main = undefined;
    this.#history = undefined;
    this.#historyBefore = emptyRoot;
    this.#schema = undefined;
    this.changed = true;
    this.log.close();
  }

  /** The editor of the entries. A tree that does not exist yet is made with the config of `use`. */
  #changing<K, V, R>(schema: TreeSchema<K, V, R>): TreeEditor {
    if (schema.reducer !== undefined) {
      this.#schema = schema as TreeSchema<unknown, unknown, unknown>;
      // A replay cannot make the reducer's values: it does not have the user's functions.
      this.log.close();
    }
    if (this.#main === undefined) {
      const { config } = schema;
      const sequence = this.#sequence;
      this.#take({ config, main: emptyRoot, history: emptyRoot, sequence });
      this.log.close();
    }
    return this.#main as TreeEditor;
  }

  put<K, V, R>(schema: TreeSchema<K, V, R>, key: Uint8Array, value: Uint8Array): void {
    const main = this.#changing(schema);
    const isLong = value.length > schema.shape.inlineBytesMax;
    const bytes = isLong ? this.#edit.pushLong(value) : value;
    const word = bytes.length * 2 + (isLong ? longBit : 0);
    this.#put(main, key, bytes, word);
    this.changed = true;
    this.log.put(key, bytes, word);
  }

  #put(main: TreeEditor, key: Uint8Array, bytes: Uint8Array, word: number): void {
    main.put(key, bytes, word);
    if (this.#config?.versioned !== true) return;
    this.#sequence += 1;
    this.#historyEditor().put(historyKey(this.#sequence, historyPut, key), bytes, word);
    if ((word & longBit) !== 0) this.#edit.shareLong(bytes);
  }

  delete<K, V, R>(schema: TreeSchema<K, V, R>, key: Uint8Array): boolean {
    if (this.#main?.delete(key) !== true) return false;
    this.#changing(schema);
    this.changed = true;
    this.#record(key);
    this.log.delete(key);
    return true;
  }

  /** Records a delete in the history of a versioned tree. */
  #record(key: Uint8Array): void {
    if (this.#config?.versioned !== true) return;
    this.#sequence += 1;
    this.#historyEditor().put(historyKey(this.#sequence, historyDelete, key), noValue, 0);
  }

  /** Replays a log of this tree. Throws `VARVE_CORRUPT`. */
  replayChanges(log: Uint8Array): void {
    const main = this.#main;
    const config = this.#config;
    if (main === undefined || config === undefined)
      throw corrupt(`a root logs changes of '${this.name}', which does not exist`);
    const { keyBytes, valueBytes, reducer } = config;
    if (reducer !== '') throw corrupt(`a root logs changes of '${this.name}', which has a reducer`);
    replayChanges(log, {
      put: (key, value, word) => {
        const isAny = valueBytes < 0 && ((word & longBit) === 0 || word >> 1 === longRefBytes);
        const isKey = keyBytes < 0 || key.length === keyBytes;
        if (!isKey || !(isAny || word === valueBytes * 2)) {
          throw corrupt(`a logged entry of '${this.name}' has a wrong length`);
        }
        this.#put(main, key, value, word);
      },
      delete: (key) => {
        if (main.delete(key)) this.#record(key);
        else throw corrupt(`a logged delete names a key that '${this.name}' does not have`);
      },
    });
  }

  /**
   * Deletes the entries from the position `from` on and before `to`. `keys`: theirs, if the tree is
   * versioned.
   */
  deleteAt<K, V, R>(
    schema: TreeSchema<K, V, R>,
    from: number,
    to: number,
    keys: readonly Uint8Array[],
  ): void {
    this.changed = true;
    this.#changing(schema).deleteAt(from, to);
    for (const key of keys) this.#record(key);
    this.log.close();
  }

  /** Deletes the changes before the position `to` of the history. */
  trim<K, V, R>(schema: TreeSchema<K, V, R>, to: number): void {
    this.changed = true;
    this.#changing(schema);
    this.#historyEditor().deleteAt(0, to);
    this.log.close();
  }

  /** Computes the reducer's values of the nodes that have changed. */
  summarize(): void {
    this.#summarizeFrom(this.#main?.root.ref);
  }

  #summarizeFrom(ref: NodeRef | undefined): void {
    const schema = this.#schema;
    if (schema?.reducer === undefined) return;
    new Summaries(this.#edit.nodes, schema, schema.reducer).complete(ref);
  }
}

/**
 * Documents as JSON, with secondary indexes and a live query, on a forest.
 *
 * - A document and its entries in all indexes are written in one transaction. So each index has, at
 *   every commit and after every kill, exactly the entries that the documents ask for.
 * - An index is a tree with the keys `[key, id]`: sorted by the key, then by the id. The function
 *   `keys` of the index returns the keys of a document: none, one or several. In a unique index two
 *   documents never have the same key.
 * - A query reads from a snapshot: entries and documents are of one commit, whatever is written
 *   meanwhile.
 * - A live query (`watch`) yields how its result has changed, after each commit that changes it.
 *
 * The function of an index is not stored. If you change it, give the index another name: `open`
 * builds the indexes that are new, and drops those that are not listed any more. Open the documents of
 * one name once, and use that store everywhere.
 *
 * Run it: `node examples/document-store.mjs`. In a clone of the repository, run `npm run build` first.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { codecs, Forest } from 'varve/forest';

/** @typedef {import('varve/forest').Transaction} Transaction */
/** @typedef {Record<string, any>} Document */
/**
 * @typedef {object} Index
 * @property {import('varve/forest').KeyCodec<any>} key how keys are sorted
 * @property {(document: Document) => readonly any[]} keys
 * @property {boolean} [unique]
 */
/**
 * Keys of an index: all without bounds.
 * @typedef {{ gt?: any, gte?: any, lt?: any, lte?: any, reverse?: boolean, limit?: number }} Keys
 */
/**
 * How a result has changed.
 * @typedef {object} Change
 * @property {Map<string, Document>} added
 * @property {Map<string, Document>} changed
 * @property {string[]} removed
 */

/** Two documents would have the same key in a unique index. */
export class DuplicateKeyError extends Error {}

/** Sorts after every id: no id begins with it. */
const afterIds = '\u{10ffff}';

/** A range over `[key, id]`, for bounds of the key. A bound that is undefined is refused. */
function rangeOf(/** @type {Keys} */ keys) {
  const { gt, gte, lt, lte, ...rest } = keys;
  return {
    ...rest,
    ...('gte' in keys && { gte: [gte, ''] }),
    ...('gt' in keys && { gt: [gt, afterIds] }),
    ...('lt' in keys && { lt: [lt, ''] }),
    ...('lte' in keys && { lte: [lte, afterIds] }),
  };
}

export class DocumentStore {
  #forest;
  #documents;
  /** @type {Map<string, { config: Index, tree: import('varve/forest').Tree<any, Uint8Array, undefined> }>} */
  #indexes = new Map();

  /**
   * Use `open`: it builds the indexes that are new.
   *
   * @param {Forest} forest
   * @param {string} name
   * @param {Record<string, Index>} indexes
   */
  constructor(forest, name, indexes) {
    this.#forest = forest;
    /** @type {import('varve/forest').Codec<Document>} */
    const value = codecs.json();
    this.#documents = forest.tree(name, { key: codecs.utf8, value });
    for (const [indexName, config] of Object.entries(indexes)) {
      const key = codecs.tuple(config.key, codecs.utf8);
      const tree = forest.tree(`${name}/by/${indexName}`, { key });
      this.#indexes.set(indexName, { config, tree });
    }
  }

  /**
   * The documents `name` of an open forest, with these indexes.
   *
   * @param {Forest} forest
   * @param {string} name
   * @param {Record<string, Index>} indexes
   */
  static async open(forest, name, indexes) {
    const store = new DocumentStore(forest, name, indexes);
    const built = forest.tree(`${name}/indexes`, { key: codecs.utf8 });
    await forest.transaction((tx) => {
      const names = tx.tree(built);
      for (const indexName of names.keys()) {
        if (store.#indexes.has(indexName)) continue;
        tx.drop(`${name}/by/${indexName}`);
        names.delete(indexName);
      }
      const documents = tx.tree(store.#documents);
      for (const [indexName, { config, tree }] of store.#indexes) {
        if (names.has(indexName)) continue;
        for (const [id, document] of documents.range()) {
          const keys = config.keys(document);
          store.#check(tx, indexName, id, keys);
          for (const key of keys) tx.tree(tree).put([key, id], new Uint8Array());
        }
        names.put(indexName, new Uint8Array());
      }
    });
    return store;
  }

  /** @param {string} id */
  get(id) {
    return this.#documents.get(id);
  }

  /**
   * The document as a transaction has it, with what the transaction itself has changed.
   *
   * @param {Transaction} tx
   * @param {string} id
   */
  getIn(tx, id) {
    return tx.tree(this.#documents).get(id);
  }

  /**
   * Resolves when the document is durable. Rejects with a `DuplicateKeyError`, and stores nothing, if
   * another document has one of its keys in a unique index.
   *
   * @param {string} id
   * @param {Document} document
   */
  async put(id, document) {
    await this.update(id, () => document);
  }

  /** @param {string} id */
  async delete(id) {
    await this.update(id, () => undefined);
  }

  /**
   * Replaces a document by what `change` returns for it: undefined deletes it, or leaves it missing.
   *
   * @param {string} id
   * @param {(document: Document | undefined) => Document | undefined} change
   */
  async update(id, change) {
    await this.#forest.transaction((tx) => this.updateIn(tx, id, change));
  }

  /**
   * As `update`, as a part of a transaction: several documents change together, or not at all. If it
   * throws, it has changed nothing: a body that catches the error may go on.
   *
   * @param {Transaction} tx
   * @param {string} id
   * @param {(document: Document | undefined) => Document | undefined} change
   */
  updateIn(tx, id, change) {
    if (id.startsWith(afterIds)) throw new RangeError('no id begins with U+10FFFF');
    const names = [...this.#indexes.keys()];
    const documents = tx.tree(this.#documents);
    const before = documents.get(id);
    // Read again: `change` may change the document that it is given.
    const after = change(documents.get(id));
    // Everything that may be refused comes before the first write to an index.
    for (const name of names) this.#check(tx, name, id, this.#keysOf(name, after));
    if (after === undefined) documents.delete(id);
    else documents.put(id, after);
    for (const name of names) {
      const index = tx.tree(this.#index(name).tree);
      for (const key of this.#keysOf(name, before)) index.delete([key, id]);
      for (const key of this.#keysOf(name, after)) index.put([key, id], new Uint8Array());
    }
  }

  /**
   * Throws if the codec of the index refuses a key, or another document has it in a unique index.
   *
   * @param {Transaction} tx
   * @param {string} name
   * @param {string} id
   * @param {readonly any[]} keys
   */
  #check(tx, name, id, keys) {
    const { config, tree } = this.#index(name);
    const index = tx.tree(tree);
    for (const key of keys) {
      const [entry] = index.keys(rangeOf({ gte: key, lte: key, limit: 1 }));
      if (!config.unique || entry === undefined || entry[1] === id) continue;
      throw new DuplicateKeyError(`'${id}' has the key '${key}' of '${entry[1]}' in '${name}'`);
    }
  }

  /**
   * @param {string} name
   * @param {Document | undefined} document
   * @returns {readonly any[]}
   */
  #keysOf(name, document) {
    return document === undefined ? [] : this.#index(name).config.keys(document);
  }

  /** @param {string} name */
  #index(name) {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new RangeError(`there is no index '${name}'`);
    return index;
  }

  /**
   * Documents by the keys of an index, in its order: `find('age', { gte: 18, lt: 65 })`. One with
   * several keys in the range comes several times. All are of the last commit before the first step.
   *
   * @param {string} index
   * @param {Keys} keys
   * @returns {Generator<[id: string, document: Document]>}
   */
  *find(index, keys = {}) {
    const snapshot = this.#forest.snapshot();
    try {
      const documents = snapshot.tree(this.#documents);
      for (const [, id] of snapshot.tree(this.#index(index).tree).keys(rangeOf(keys))) {
        yield [id, /** @type {Document} */ (documents.get(id))];
      }
    } finally {
      snapshot.release();
    }
  }

  /**
   * The result of `find` as it changes, until `signal` aborts: first all of it, as added; then the
   * differences after each commit that makes some. If commits come faster than the differences are
   * asked for, those of several come as one. Each look reads the whole result again. Abort it before
   * you close the forest: a live query that waits would go on waiting.
   *
   * @param {string} index
   * @param {Keys} keys
   * @param {AbortSignal} signal
   * @returns {AsyncGenerator<Change>}
   */
  async *watch(index, keys, signal) {
    let wake = () => {};
    let isStale = true;
    const stop = this.#forest.onCommit(({ trees }) => {
      if (!trees.includes(this.#documents.name)) return;
      isStale = true;
      wake();
    });
    const end = () => wake();
    signal.addEventListener('abort', end);
    try {
      /** @type {Map<string, Document>} */
      let before = new Map();
      for (let isFirst = true; !signal.aborted; isFirst = false) {
        isStale = false;
        const after = new Map(this.find(index, keys));
        const change = difference(before, after);
        before = after;
        const { added, changed, removed } = change;
        if (isFirst || added.size + changed.size + removed.length > 0) yield change;
        // A commit during the yield has set it again.
        while (!isStale && !signal.aborted) {
          await new Promise((resolve) => {
            wake = () => resolve(undefined);
          });
        }
      }
    } finally {
      stop();
      signal.removeEventListener('abort', end);
    }
  }
}

/**
 * @param {Map<string, Document>} before
 * @param {Map<string, Document>} after
 * @returns {Change}
 */
function difference(before, after) {
  const added = new Map();
  const changed = new Map();
  for (const [id, document] of after) {
    const old = before.get(id);
    if (old === undefined) added.set(id, document);
    else if (JSON.stringify(old) !== JSON.stringify(document)) changed.set(id, document);
  }
  return { added, changed, removed: [...before.keys()].filter((id) => !after.has(id)) };
}

// ── a program that uses it ──

async function main() {
  const folder = await mkdtemp(join(tmpdir(), 'varve-documents-'));
  try {
    const forest = await Forest.open(join(folder, 'people.varve'));
    const people = await DocumentStore.open(forest, 'people', {
      born: { key: codecs.uint, keys: ({ born }) => [born] },
      mail: { key: codecs.utf8, keys: ({ mail }) => (mail ? [mail] : []), unique: true },
      field: { key: codecs.utf8, keys: ({ fields }) => fields },
    });
    await people.put('ada', { born: 1815, mail: 'ada@example.org', fields: ['computing'] });
    await people.put('emmy', { born: 1882, fields: ['algebra', 'physics'] });
    await people.put('mary', { born: 1780, fields: ['physics', 'astronomy'] });

    const ids = (/** @type {string} */ index, /** @type {Keys} */ keys) =>
      [...people.find(index, keys)].map(([id]) => id).join(', ');
    console.log(`born before 1850: ${ids('born', { lt: 1850 })}`);
    console.log(`physics: ${ids('field', { gte: 'physics', lte: 'physics' })}`);
    await people
      .put('bob', { born: 1990, mail: 'ada@example.org', fields: [] })
      .catch((error) => console.log(error.message));

    const done = new AbortController();
    const live = people.watch('born', { gte: 1800, lt: 1900 }, done.signal);
    const show = async () => {
      const { value } = await live.next();
      const { added, changed, removed } = /** @type {Change} */ (value);
      const parts = [[...added.keys()], [...changed.keys()], removed].map((part) =>
        part.join(', '),
      );
      console.log(`added: ${parts[0]}; changed: ${parts[1]}; removed: ${parts[2]}`);
    };
    await show();
    await people.put('kurt', { born: 1906, fields: ['logic'] }); // not in the range
    await people.put('david', { born: 1862, fields: ['geometry'] });
    await show();
    await people.update('ada', (ada) => ({ ...ada, fields: ['poetry'] }));
    await show();
    await people.delete('emmy');
    await show();
    done.abort();
    console.log(`the live query has ended: ${(await live.next()).done}`);
    await forest.close();
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();

/**
 * The document store of examples/ beside a map of its documents: each index equals what the
 * documents ask for at every commit, after restarts, power cuts and failing calls; and a live query
 * whose changes add up to its result.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Change as Difference,
  type Document,
  DocumentStore,
  DuplicateKeyError,
  type Index,
  type Keys,
} from '../../examples/document-store.mjs';
import { codecs, Forest } from '../../src/forest/index.ts';
import type { FileSystem } from '../../src/index.ts';
import { code, endSound, expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';
import { compareWithModel, cutPower, failCalls, type Model, type Trial } from './trials.ts';

interface Person {
  readonly age: number;
  readonly mail?: string;
  readonly tags: readonly string[];
}

type Change =
  | { readonly do: 'put'; readonly id: string; readonly document: Person }
  | { readonly do: 'delete'; readonly id: string }
  /** Changes two documents in one transaction. */
  | { readonly do: 'swap'; readonly one: string; readonly other: string };

const indexes: Record<string, Index> = {
  age: { key: codecs.uint, keys: ({ age }) => [age] },
  mail: { key: codecs.utf8, keys: ({ mail }) => (mail === undefined ? [] : [mail]), unique: true },
  tag: { key: codecs.utf8, keys: ({ tags }) => tags },
};
/** Index and bounds that are compared after each group, with a function that says the same. */
const queries: readonly [string, Keys, (person: Person) => boolean][] = [
  ['age', { gte: 3, lt: 7 }, ({ age }) => age >= 3 && age < 7],
  ['age', { gt: 3, lte: 7 }, ({ age }) => age > 3 && age <= 7],
  ['age', {}, () => true],
  ['mail', { gte: 'm2', lte: 'm2' }, ({ mail }) => mail === 'm2'],
  ['tag', { gte: 'b', lte: 'b' }, ({ tags }) => tags.includes('b')],
];

class PlainDocuments implements Model<Change> {
  readonly documents = new Map<string, Person>();

  apply(change: Change): unknown {
    if (change.do === 'put') return this.#put(change.id, change.document);
    if (change.do === 'delete') {
      this.documents.delete(change.id);
      return 'done';
    }
    const { one, other } = change;
    const [first, second] = [this.documents.get(one), this.documents.get(other)];
    // The keys of the first are taken until the second has changed: only without mail it goes.
    if (one === other || first === undefined || second === undefined) return 'nothing';
    if (second.mail !== undefined) return 'duplicate';
    this.documents.set(one, second);
    this.documents.set(other, first);
    return 'done';
  }

  #put(id: string, document: Person): string {
    for (const [other, { mail }] of this.documents) {
      if (other !== id && mail !== undefined && mail === document.mail) return 'duplicate';
    }
    this.documents.set(id, document);
    return 'done';
  }

  state(): unknown {
    const all = [...this.documents].sort(([one], [other]) => (one < other ? -1 : 1));
    return {
      all,
      found: queries.map(([, , isIn]) =>
        all.filter(([, person]) => isIn(person)).map(([id]) => id),
      ),
      entries: entriesOf(all),
    };
  }
}

/** What the indexes have to hold: recomputed from the documents. */
function entriesOf(documents: readonly [string, Document][]): unknown {
  return Object.entries(indexes).map(([name, { keys }]) => [
    name,
    documents
      .flatMap(([id, document]) => keys(document).map((key) => JSON.stringify([key, id])))
      .sort(),
  ]);
}

/** What they do hold, and the documents, as of one commit. */
function storedIn(forest: Forest): { documents: [string, Document][]; entries: unknown } {
  const value = codecs.json<Document>();
  const people = forest.tree<string, Document>('people', { key: codecs.utf8, value });
  const snapshot = forest.snapshot();
  const entries = Object.entries(indexes).map(([name, { key }]) => {
    const tree = forest.tree(`people/by/${name}`, { key: codecs.tuple(key, codecs.utf8) });
    return [name, [...snapshot.tree(tree).keys()].map((entry) => JSON.stringify(entry)).sort()];
  });
  const documents = [...snapshot.tree(people).range()];
  snapshot.release();
  return { documents, entries };
}

/** Makes a change; its result. */
async function make(forest: Forest, people: DocumentStore, change: Change): Promise<string> {
  try {
    if (change.do === 'put') await people.put(change.id, change.document);
    else if (change.do === 'delete') await people.delete(change.id);
    else {
      const { one, other } = change;
      return await forest.transaction((tx) => {
        const [first, second] = [people.getIn(tx, one), people.getIn(tx, other)];
        if (one === other || first === undefined || second === undefined) return 'nothing';
        people.updateIn(tx, one, () => second);
        people.updateIn(tx, other, () => first);
        return 'done';
      });
    }
    return 'done';
  } catch (error) {
    if (error instanceof DuplicateKeyError) return 'duplicate';
    throw error;
  }
}

const settings = { nodeBytes: 512, settleBytes: 8192, cacheBytes: 128 * 1024 };

const trial: Trial<Change> = {
  model: () => new PlainDocuments(),
  async open(fileSystem: FileSystem) {
    const forest = await Forest.open('documents', { ...settings, fileSystem });
    const people = await DocumentStore.open(forest, 'people', indexes);
    const unequal: unknown[] = [];
    forest.onCommit(() => {
      const { documents, entries } = storedIn(forest);
      const recomputed = entriesOf(documents);
      if (JSON.stringify(entries) !== JSON.stringify(recomputed)) unequal.push(entries, recomputed);
    });
    return {
      run: (change) => make(forest, people, change),
      state() {
        expect(unequal).toEqual([]);
        const { documents, entries } = storedIn(forest);
        const found = queries.map(([index, keys]) =>
          [...people.find(index, keys)].map(([id, document]) => {
            expect(document).toEqual(people.get(id));
            return id;
          }),
        );
        return { all: documents, found: found.map((ids) => ids.sort()), entries };
      },
      async check() {
        expect(await findingsOf(forest)).toEqual([]);
        await expectNoLeak(forest);
      },
      close: async () => await forest.close(),
    };
  },
};

const id = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const person: fc.Arbitrary<Person> = fc
  .tuple(
    fc.nat(9),
    fc.option(fc.constantFrom('m1', 'm2', 'm3'), { nil: undefined }),
    fc.subarray(['a', 'b', 'c']),
  )
  .map(([age, mail, tags]) => ({ age, ...(mail !== undefined && { mail }), tags }));
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), id, document: person }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), id }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('swap' as const), one: id, other: id }) },
);
const groups = fc.array(fc.array(change, { minLength: 1, maxLength: 6 }), {
  minLength: 1,
  maxLength: 10,
});

const put = (name: string, document: Person): Change => ({ do: 'put', id: name, document });
const history: Change[][] = [
  [put('a', { age: 1, mail: 'm1', tags: ['a', 'b'] }), put('b', { age: 5, tags: ['b'] })],
  [put('c', { age: 5, mail: 'm1', tags: [] }), put('c', { age: 5, mail: 'm2', tags: ['c', 'a'] })],
  [{ do: 'swap', one: 'a', other: 'b' }],
  [{ do: 'delete', id: 'c' }, put('a', { age: 2, mail: 'm2', tags: ['c'] })],
];

describe('examples/document-store.mjs', () => {
  it('has at every commit the entries in each index that the documents ask for', async () => {
    const property = fc.asyncProperty(groups, fc.nat(3), async (changes, every) => {
      await compareWithModel(trial, changes, (number) => every > 0 && number % every === 0);
    });
    await fc.assert(property, { numRuns: 60 });
  });

  it('has documents and entries of one commit when the power is cut', async () => {
    const bounds = { singles: 1, randoms: 1 };
    expect(await cutPower(trial, history, { bounds, stride: 1 })).toBeGreaterThan(20);
  });

  it.each([
    { kind: 'error', code: 'ENOSPC', done: 'nothing' } as const,
    { kind: 'error', code: 'EIO' } as const,
    { kind: 'sync', cache: 'dropped' } as const,
  ])('keeps what it has when a call of the disk fails: %o', async (fault) => {
    expect(await failCalls(trial, history, fault)).toBeGreaterThan(5);
  });

  it('changes nothing if it refuses a document and the transaction goes on', async () => {
    const forest = await Forest.inMemory();
    const people = await DocumentStore.open(forest, 'people', indexes);
    await people.put('a', { age: 1, mail: 'm1', tags: ['x'] });
    await people.put('b', { age: 2, mail: 'm2', tags: ['y'] });
    const before = storedIn(forest);
    await forest.transaction((tx) => {
      const refused: [Document, typeof DuplicateKeyError | string][] = [
        [{ age: 3, mail: 'm1', tags: ['z'] }, DuplicateKeyError],
        [{ age: 3, tags: ['z', 7] }, 'utf8'],
        [{ age: 3, tags: ['z'], other: undefined }, 'json'],
      ];
      for (const [document, error] of refused) {
        expect(() => people.updateIn(tx, 'b', () => document)).toThrow(error);
      }
      const throwing = (): Document => {
        throw new Error('no');
      };
      expect(() => people.updateIn(tx, 'b', throwing)).toThrow('no');
    });
    expect(storedIn(forest)).toEqual(before);
    await endSound(forest);
  });

  it('lets a change work on the document that it is given', async () => {
    const forest = await Forest.inMemory();
    const people = await DocumentStore.open(forest, 'people', indexes);
    await people.put('a', { age: 1, tags: ['x', 'y'] });
    await people.update('a', (document) => {
      document?.['tags'].shift();
      return document;
    });
    const { documents, entries } = storedIn(forest);
    expect(documents).toEqual([['a', { age: 1, tags: ['y'] }]]);
    expect(entries).toEqual(entriesOf(documents));
    await endSound(forest);
  });

  it('builds an index that is new, and drops one that is not listed any more', async () => {
    const forest = await Forest.inMemory();
    const { age = indexes['age'] as Index, tag = indexes['tag'] as Index } = indexes;
    const first = await DocumentStore.open(forest, 'people', { age });
    await first.put('a', { age: 1, tags: ['x', 'y'] });
    await first.put('b', { age: 1, tags: ['y'] });
    const second = await DocumentStore.open(forest, 'people', { tag });
    const byTag = (tags: Keys): string[] => [...second.find('tag', tags)].map(([name]) => name);
    expect(byTag({})).toEqual(['a', 'a', 'b']);
    expect(() => [...second.find('age')]).toThrow(RangeError);
    await second.delete('a');
    const third = await DocumentStore.open(forest, 'people', { age, tag });
    expect([...third.find('age')].map(([name]) => name)).toEqual(['b']);
    const unique = { ...indexes, age: { ...age, unique: true } };
    await third.put('c', { age: 1, tags: [] });
    await DocumentStore.open(forest, 'people', { tag });
    await expect(DocumentStore.open(forest, 'people', unique)).rejects.toThrow(DuplicateKeyError);
    await endSound(forest);
  });

  it('refuses a bound without a value, and one that it does not know', async () => {
    const forest = await Forest.inMemory();
    const people = await DocumentStore.open(forest, 'people', indexes);
    for (const keys of [{ gte: undefined }, { lt: undefined }, { from: 1 } as Keys]) {
      expect(() => [...people.find('age', keys)]).toThrow(code('INVALID_ARGUMENT'));
    }
    await endSound(forest);
  });

  it('reads entries and documents of one commit, whatever is written between two steps', async () => {
    const forest = await Forest.inMemory();
    const people = await DocumentStore.open(forest, 'people', indexes);
    for (const name of ['a', 'b', 'c']) await people.put(name, { age: 1, tags: [] });
    const ages: number[] = [];
    for (const [name, { age }] of people.find('age')) {
      ages.push(age);
      await people.put(name, { age: 5, tags: [] });
      await people.put('c', { age: 0, tags: [] });
    }
    expect(ages).toEqual([1, 1, 1]);
    await endSound(forest);
  });
});

describe('a live query', () => {
  /** Changes a result as a live query says. */
  function apply(result: Map<string, Document>, { value }: IteratorResult<Difference>): void {
    const { added, changed, removed } = value as Difference;
    for (const [name, document] of added) {
      expect(result.has(name)).toBe(false);
      result.set(name, document);
    }
    for (const [name, document] of changed) {
      expect(result.get(name)).not.toEqual(document);
      result.set(name, document);
    }
    for (const name of removed) expect(result.delete(name)).toBe(true);
  }

  const textOf = (result: Iterable<readonly [string, unknown]>): string =>
    JSON.stringify([...result].sort(([one], [other]) => (one < other ? -1 : 1)));

  it('yields changes that add up to the result of each commit, in their order', async () => {
    const property = fc.asyncProperty(groups, async (changes) => {
      const forest = await Forest.inMemory();
      const people = await DocumentStore.open(forest, 'people', indexes);
      const model = new PlainDocuments();
      const resultOf = (): string =>
        textOf([...model.documents].filter(([, { age }]) => age >= 3 && age < 7));
      const signal = new AbortController();
      const live = people.watch('age', { gte: 3, lt: 7 }, signal.signal);
      const result = new Map<string, Document>();
      apply(result, await live.next());
      const states = [resultOf()];
      let at = 0;
      let next = live.next();
      for (const group of changes) {
        for (const one of group) {
          model.apply(one);
          states.push(resultOf());
        }
        await Promise.all(group.map((one) => make(forest, people, one)));
        while (textOf(result) !== states.at(-1)) {
          apply(result, await next);
          next = live.next();
          at = states.indexOf(textOf(result), at);
          expect(at).toBeGreaterThanOrEqual(0);
        }
      }
      signal.abort();
      await next;
      expect(await live.next()).toEqual({ done: true, value: undefined });
      await endSound(forest);
    });
    await fc.assert(property, { numRuns: 40 });
  });
});

/**
 * Values of the user's own in a forest: what `Transaction.push` stores and `get` gives back.
 *
 * Invariant: tampering is done on what the store gives back, as someone would who has the file and
 * makes its checksums right again.
 */

import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { codecs, Forest, type Transaction, type Vault } from '../../src/forest/index.ts';
import { type GrainId, memoryFileSystem, Store } from '../../src/index.ts';
import { aesGcm, compressed } from '../../src/vault/index.ts';
import { code, endSound, expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';

const key = new Uint8Array(32).fill(9);
const words = { key: codecs.utf8, value: codecs.utf8 };
const secret = 'a secret that must not be seen';

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text));
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

/** Adds many bytes and does not say how many; gives the same memory each time. */
function wordy(): Vault {
  const memory = new Uint8Array(8 * 1024 * 1024);
  const added = 300;
  return {
    name: 'wordy',
    seal(plain) {
      memory.fill(7, 0, added);
      memory.set(plain, added);
      return memory.subarray(0, added + plain.length);
    },
    open(sealed) {
      memory.set(sealed.subarray(added));
      return memory.subarray(0, sealed.length - added).slice();
    },
  };
}

const vaults: readonly (readonly [string, () => Vault | undefined])[] = [
  ['without a vault', () => undefined],
  ['in aesGcm', () => aesGcm({ key })],
  ['in compressed', () => compressed()],
  ['in aesGcm of compressed', () => aesGcm({ key, inner: compressed() })],
  ['in a vault that adds many bytes', wordy],
  ['in a vault that lies about its overhead', () => ({ ...wordy(), overheadBytes: 3 })],
];

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each(vaults)('a pushed value %s', (_name, vaultOf) => {
  it('is read by its transaction, by the next one, and by all when it is durable', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    const texts = ['', 'x', secret, secret.repeat(50), 'large '.repeat(400_000)];
    const ids: GrainId[] = [];
    const check = (get: (id: GrainId) => Uint8Array | undefined): void => {
      expect(ids.map((id) => textOf(get(id)))).toEqual(texts);
    };
    const first = forest.transaction((tx) => {
      for (const text of texts) ids.push(tx.push(bytesOf(text)));
      check((id) => tx.get(id));
    });
    const second = forest.transaction((tx) => check((id) => tx.get(id)));
    expect(ids.map((id) => forest.get(id))).toEqual(texts.map(() => undefined));
    await Promise.all([first, second]);
    check((id) => forest.get(id));
    await forest.close();
    const again = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    check((id) => again.get(id));
    for (const [at, id] of ids.entries()) expect(textOf(await again.getAsync(id))).toBe(texts[at]);
    await again.transaction((tx) => check((id) => tx.get(id)));
    expect(await findingsOf(again)).toEqual([]);
    await expectNoLeak(again, ids.length);
    await again.close();
  });

  it('comes back as bytes that are the caller’s own', async () => {
    const forest = await Forest.inMemory({ vault: vaultOf() });
    const given = bytesOf(secret);
    const id = await forest.transaction((tx) => {
      const pushed = tx.push(given);
      given.fill(0);
      tx.get(pushed)?.fill(1);
      expect(textOf(tx.get(pushed))).toBe(secret);
      return pushed;
    });
    const kept = forest.get(id);
    forest.get(id)?.fill(2);
    (await forest.getAsync(id))?.fill(3);
    expect(textOf(kept)).toBe(secret);
    expect(textOf(forest.get(id))).toBe(secret);
    expect(kept?.constructor).toBe(Uint8Array);
    await forest.close();
  });

  it('is gone when its transaction fails or archives it, and stays as long as a snapshot', async () => {
    const forest = await Forest.inMemory({ vault: vaultOf() });
    let lost: GrainId | undefined;
    const failing = forest.transaction((tx) => {
      lost = tx.push(bytesOf('lost'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(forest.get(lost as GrainId)).toBe(undefined);
    await forest.transaction((tx) => {
      const id = tx.push(bytesOf('withdrawn'));
      tx.archive(id);
      expect(tx.get(id)).toBe(undefined);
    });
    const kept = await forest.transaction((tx) => tx.push(bytesOf(secret)));
    const snapshot = forest.snapshot();
    await forest.transaction((tx) => {
      tx.archive(kept);
      expect(textOf(tx.get(kept))).toBe(secret);
    });
    for (let at = 0; at < 3; at++) await forest.tree('t', words).put('a', String(at));
    expect(textOf(forest.get(kept))).toBe(secret);
    snapshot.release();
    for (let at = 0; at < 3; at++) await forest.tree('t', words).put('a', String(at));
    expect(forest.get(kept)).toBe(undefined);
    await endSound(forest);
  });

  it('is what a plain map has, whatever is pushed, archived and abandoned', async () => {
    const step = fc.record({
      kind: fc.constantFrom('push', 'push', 'push', 'archive', 'throw', 'wait'),
      data: fc.uint8Array({ maxLength: 200 }),
      at: fc.nat(50),
    });
    const body = fc.array(step, { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(body, { maxLength: 6 }), async (bodies) => {
        const forest = await Forest.inMemory({ vault: vaultOf() });
        const model = new Map<GrainId, Uint8Array>();
        const run = async (
          tx: Transaction,
          steps: typeof bodies extends (infer S)[] ? S : never,
        ) => {
          const own = new Map(model);
          for (const { kind, data, at } of steps) {
            if (kind === 'wait') await Promise.resolve();
            if (kind === 'throw') throw new Error('given up');
            if (kind === 'push') own.set(tx.push(data), data);
            if (kind === 'archive' && own.size > 0) {
              const id = [...own.keys()][at % own.size] as GrainId;
              tx.archive(id);
              own.delete(id);
            }
            for (const [id, value] of own) expect(tx.get(id)).toEqual(new Uint8Array(value));
          }
          model.clear();
          for (const [id, value] of own) model.set(id, value);
        };
        const running = bodies.map((steps) => forest.transaction((tx) => run(tx, steps)));
        for (const one of await Promise.allSettled(running)) {
          if (one.status === 'rejected') expect((one.reason as Error).message).toBe('given up');
        }
        for (const [id, value] of model) expect(forest.get(id)).toEqual(new Uint8Array(value));
        // What a commit has taken along of a transaction that failed is archived by the next.
        await forest.tree('t', words).put('a', 'b');
        await expectNoLeak(forest, model.size);
        await forest.close();
      }),
      { numRuns: 25 },
    );
  });
});

describe('a value pushed into an encrypted forest', () => {
  const vaultOf = (): Vault => aesGcm({ key, inner: compressed() });

  /** The store gives `told` in place of what is stored, as far as it says anything. */
  function tamper(told: (id: GrainId, get: (id: GrainId) => Uint8Array) => Uint8Array): void {
    const { get } = Store.prototype;
    vi.spyOn(Store.prototype, 'get').mockImplementation(function (this: Store, id) {
      const real = (of: GrainId) => get.call(this, of) as Uint8Array<ArrayBuffer>;
      return told(id, real) as Uint8Array<ArrayBuffer>;
    });
  }

  it('is nowhere in the file as plain text', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: aesGcm({ key }) });
    await forest.transaction((tx) => tx.push(bytesOf(secret)));
    await forest.transaction((tx) => tx.push(bytesOf(secret.repeat(60_000))));
    await forest.close();
    const how = { create: false, exclusive: false, readOnly: true };
    const file = await fileSystem.open('a.varve', how);
    const bytes = new Uint8Array(file.length());
    file.readSync(bytes, 0);
    await file.close();
    expect(bytes.length).toBeGreaterThan(secret.length * 60_000);
    expect(Buffer.from(bytes).includes('must not be seen')).toBe(false);
  });

  it('is refused when any one bit of it was changed, and when it was cut', async () => {
    for (const vault of [vaultOf(), aesGcm({ key })]) {
      const forest = await Forest.inMemory({ vault });
      const id = await forest.transaction((tx) => tx.push(bytesOf(secret)));
      const stored = forest.store.get(id) as Uint8Array;
      for (let bit = 0; bit < stored.length * 8; bit++) {
        tamper(() => {
          const bytes = stored.slice();
          bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
          return bytes;
        });
        expect(() => forest.get(id)).toThrow(code('VAULT'));
        vi.restoreAllMocks();
      }
      for (let length = 0; length < stored.length; length++) {
        tamper(() => stored.slice(0, length));
        expect(() => forest.get(id)).toThrow(code('VAULT'));
        vi.restoreAllMocks();
      }
      expect(textOf(forest.get(id))).toBe(secret);
      await forest.close();
    }
  });

  it('is refused in the place of another, whole or in part', async () => {
    const forest = await Forest.inMemory({ vault: aesGcm({ key }) });
    const [one, other] = await forest.transaction((tx) =>
      [secret, secret.toUpperCase()].map((text) => tx.push(bytesOf(text))),
    );
    const [here, there] = [one as GrainId, other as GrainId];
    const { length } = forest.store.get(here) as Uint8Array;
    for (let cut = 0; cut < length; cut++) {
      // The one as far as `cut`, the other from there on: 0 is the other whole.
      tamper((id, get) => {
        if (id !== here) return get(id);
        const bytes = get(there).slice();
        bytes.set(get(here).subarray(0, cut));
        return bytes;
      });
      expect(() => forest.get(here)).toThrow(code('VAULT'));
      await forest.transaction((tx) => expect(() => tx.get(here)).toThrow(code('VAULT')));
      vi.restoreAllMocks();
    }
    await forest.close();
  });

  it('is not accepted as a node, a long value or the root, nor one of them as it', async () => {
    const fileSystem = memoryFileSystem();
    const options = { fileSystem, vault: aesGcm({ key }), journalBytes: 0 };
    const first = await Forest.open('a.varve', options);
    const ids = new Map<string, GrainId>();
    const { seal } = options.vault;
    const kinds: string[] = [];
    const spied: Vault = {
      ...options.vault,
      seal(plain, context) {
        kinds.push(['root', 'node', 'long', 'pushed', 'tag'][context[0] as number] as string);
        return seal(plain, context);
      },
    };
    await first.close();
    const forest = await Forest.open('a.varve', { ...options, vault: spied });
    await forest.transaction((tx) => {
      ids.set('pushed', tx.push(bytesOf(secret)));
      tx.tree(forest.tree('t', words)).put('a', 'b');
      tx.tree(forest.tree('t', words)).put('long', secret.repeat(200));
    });
    expect(new Set(kinds)).toEqual(new Set(['root', 'node', 'long', 'pushed', 'tag']));
    ids.set('root', forest.store.embeddedHeader as GrainId);
    for await (const { changes } of forest.store.commitLog()) {
      const named = new Set(ids.values());
      const others = changes.filter(
        ({ operation, id }) => operation === 'allocate' && !named.has(id),
      );
      for (const [at, { id }] of others.entries()) ids.set(`other ${at}`, id);
    }
    expect(ids.size).toBe(5);
    const pushed = ids.get('pushed') as GrainId;
    for (const [name, id] of ids) {
      if (name === 'pushed') continue;
      expect(() => forest.get(id)).toThrow(code('VAULT'));
      await expect(forest.getAsync(id)).rejects.toEqual(code('VAULT'));
      tamper((asked, get) => get(asked === pushed ? id : asked));
      expect(() => forest.get(pushed)).toThrow(code('VAULT'));
      vi.restoreAllMocks();
    }
    await forest.close();
    // Each of the others is asked for once the forest is opened and its trees are read.
    for (const [name, id] of ids) {
      if (name === 'pushed') continue;
      tamper((asked, get) => get(asked === id ? pushed : asked));
      const reading = (async () => {
        const again = await Forest.open('a.varve', options);
        try {
          const tree = again.tree('t', words);
          return [tree.get('a'), tree.get('long')];
        } finally {
          await again.store.close();
        }
      })();
      await expect(reading).rejects.toEqual(name === 'root' ? code('NOT_A_FOREST') : code('VAULT'));
      vi.restoreAllMocks();
    }
  });

  it('is not confused with values that a user put into the store directly', async () => {
    const forest = await Forest.inMemory({ vault: vaultOf() });
    const { id } = await forest.store.put(bytesOf('plain'));
    expect(() => forest.get(id)).toThrow(code('VAULT'));
    await forest.transaction((tx) => expect(() => tx.get(id)).toThrow(code('VAULT')));
    expect(textOf(forest.store.get(id))).toBe('plain');
    expect(forest.get((id + 1n) as GrainId)).toBe(undefined);
    expect(forest.get(0n as GrainId)).toBe(undefined);
    await forest.close();
  });

  it('cannot be told from an older one, or one of another forest, of the same id and key', async () => {
    const one = await Forest.inMemory({ vault: vaultOf() });
    const other = await Forest.inMemory({ vault: vaultOf() });
    const id = await one.transaction((tx) => tx.push(bytesOf('one')));
    expect(await other.transaction((tx) => tx.push(bytesOf('other')))).toBe(id);
    const stored = other.store.get(id) as Uint8Array;
    tamper(() => stored);
    // The README says so: nothing but the id is told to whoever reads.
    expect(textOf(one.get(id))).toBe('other');
    vi.restoreAllMocks();
    await one.close();
    await other.close();
  });

  it('that its vault refuses leaves the transaction as it was', async () => {
    let fails = false;
    const inner = vaultOf();
    const vault: Vault = {
      ...inner,
      seal(plain, context) {
        if (fails && context[0] === 4) throw new Error('no tag');
        return inner.seal(plain, context);
      },
    };
    const forest = await Forest.inMemory({ vault });
    const id = await forest.transaction((tx) => {
      fails = true;
      expect(() => tx.push(bytesOf('refused'))).toThrow(code('VAULT'));
      fails = false;
      return tx.push(bytesOf('taken'));
    });
    expect(textOf(forest.get(id))).toBe('taken');
    await expectNoLeak(forest, 1);
    await forest.close();
  });
});

describe('get', () => {
  it('without a vault returns what get of the store returns', async () => {
    const forest = await Forest.inMemory();
    await forest.tree('t', words).put('a', 'b');
    const root = forest.store.embeddedHeader as GrainId;
    expect(forest.get(root)).toEqual(forest.store.get(root));
    expect(await forest.getAsync(root)).toEqual(forest.store.get(root));
    await forest.close();
  });

  it.each([undefined, aesGcm({ key })])(
    'accepts only ids, and only while its owner is open',
    async (vault) => {
      const forest = await Forest.inMemory({ vault });
      const refused = code('INVALID_ARGUMENT');
      expect(() => forest.get(1 as never)).toThrow(refused);
      await expect(forest.getAsync('a' as never)).rejects.toEqual(refused);
      let ended: Transaction | undefined;
      const id = await forest.transaction((tx) => {
        ended = tx;
        expect(() => tx.get(1 as never)).toThrow(refused);
        expect(() => tx.push('a' as never)).toThrow(refused);
        return tx.push(bytesOf('a'));
      });
      expect(() => ended?.get(id)).toThrow(code('TRANSACTION_ENDED'));
      const reading = forest.getAsync(id);
      expect(textOf(await reading)).toBe('a');
      await forest.close();
      expect(() => forest.get(id)).toThrow(code('CLOSED'));
      await expect(forest.getAsync(id)).rejects.toEqual(code('CLOSED'));
    },
  );
});

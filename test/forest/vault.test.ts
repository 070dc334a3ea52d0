/**
 * Vaults under a forest: everything that is stored passes through them, and what was tampered with
 * or put in another's place is refused.
 *
 * Invariant: tampering is done on what the store gives back, as someone would who has the file; the
 * store's own checksums are no obstacle to such a one.
 */

import { describe, expect, it } from 'vitest';
import { codecs, Forest, type Vault } from '../../src/forest/index.ts';
import { memoryFileSystem, Store } from '../../src/index.ts';
import { aesGcm, compressed } from '../../src/vault/index.ts';
import { expectNoLeak, findingsOf } from '../support/fixtures/forest-checks.ts';

const key = new Uint8Array(32).fill(9);
const words = { key: codecs.utf8, value: codecs.utf8 };
const secret = 'a secret that must not be seen';
const refused = expect.objectContaining({ code: 'VARVE_VAULT' });

async function fill(forest: Forest): Promise<void> {
  const tree = forest.tree('t', words);
  await forest.transaction((tx) => {
    for (let at = 0; at < 2000; at++) tx.tree(tree).put(`key ${at}`, `${secret} ${at}`);
    tx.tree(tree).put('long', secret.repeat(200));
    tx.tree(tree).put('longer', secret.repeat(300));
  });
}

/** A vault whose sealed bytes someone changes before they are opened. */
function meddled(inner: Vault, meddle: (sealed: Uint8Array, context: Uint8Array) => Uint8Array) {
  return {
    ...inner,
    open: (sealed, context) => inner.open(meddle(sealed, context), context),
  } as Vault;
}

describe.each([
  ['aesGcm', () => aesGcm({ key })],
  ['compressed', () => compressed()],
  ['aesGcm of compressed', () => aesGcm({ key, inner: compressed({ level: 6 }) })],
])('a forest in the vault %s', (_name, vaultOf) => {
  it('returns the values that were put, now and after reopening, and shows none of them', async () => {
    const fileSystem = memoryFileSystem();
    let forest = await Forest.open('a.varve', { fileSystem, nodeBytes: 1000, vault: vaultOf() });
    await fill(forest);
    await forest.transaction((tx) => tx.fork('t', 'u'));
    await forest.close();
    const file = await fileSystem.open('a.varve', {
      create: false,
      exclusive: false,
      readOnly: true,
    });
    const bytes = new Uint8Array(file.length());
    file.readSync(bytes, 0);
    await file.close();
    expect(Buffer.from(bytes).includes('must not be seen')).toBe(false);
    forest = await Forest.open('a.varve', { fileSystem, vault: vaultOf() });
    const tree = forest.tree('u', words);
    expect(tree.count()).toBe(2002);
    expect(tree.get('key 77')).toBe(`${secret} 77`);
    expect(await tree.getAsync('long')).toBe(secret.repeat(200));
    await tree.put('key 77', 'other');
    expect(forest.tree('t', words).get('key 77')).toBe(`${secret} 77`);
    expect(await findingsOf(forest)).toEqual([]);
    await expectNoLeak(forest);
    await forest.close();
  });
});

describe('an encrypted forest', () => {
  it('shows nothing of keys, values, names of trees and pushed values in its file', async () => {
    const fileSystem = memoryFileSystem();
    const forest = await Forest.open('a.varve', { fileSystem, vault: aesGcm({ key }) });
    const tree = forest.tree('hidden name', { ...words, versioned: true });
    const id = await forest.transaction((tx) => {
      tx.tree(tree).put('hidden key', 'hidden value');
      return tx.push(Buffer.from('hidden blob'));
    });
    // In the log of a root, in nodes, in the history.
    await tree.put('hidden key', 'hidden change');
    await forest.transaction((tx) => tx.fork('hidden name', 'hidden fork'));
    const { id: plain } = await forest.store.put(Buffer.from('put into the store itself'));
    expect(plain).not.toBe(id);
    await forest.close();
    const how = { create: false, exclusive: false, readOnly: true };
    const file = await fileSystem.open('a.varve', how);
    const bytes = Buffer.alloc(file.length());
    file.readSync(bytes, 0);
    await file.close();
    expect(bytes.includes('hidden')).toBe(false);
    expect(bytes.includes('aes-256-gcm')).toBe(true);
    expect(bytes.includes('put into the store itself')).toBe(true);
  });

  it('refuses one bit that was changed, wherever it is', async () => {
    const fileSystem = memoryFileSystem();
    const first = await Forest.open('a.varve', {
      fileSystem,
      nodeBytes: 1000,
      vault: aesGcm({ key }),
    });
    await fill(first);
    await first.close();
    let at = -1;
    const vault = meddled(aesGcm({ key }), (sealed) => {
      if (at < 0) return sealed;
      const changed = sealed.slice();
      changed[at % changed.length] = (changed[at % changed.length] as number) ^ 4;
      return changed;
    });
    for (at = 0; at < 60; at += 7) {
      await expect(Forest.open('a.varve', { fileSystem, vault })).rejects.toEqual(refused);
    }
    for (let place = 0; place < 60; place += 7) {
      at = -1;
      const forest = await Forest.open('a.varve', { fileSystem, vault });
      const tree = forest.tree('t', words);
      at = place;
      expect(() => tree.get('key 7')).toThrow(refused as Error);
      await expect(tree.getAsync('key 900')).rejects.toEqual(refused);
      await expect(tree.put('key 7', 'x')).rejects.toEqual(refused);
      at = -1;
      expect(tree.get('key 7')).toBe(`${secret} 7`);
      await forest.close();
    }
  });

  it('refuses a node or a value in the place of another', async () => {
    const fileSystem = memoryFileSystem();
    const honest = { fileSystem, nodeBytes: 1000 };
    const first = await Forest.open('a.varve', { ...honest, vault: aesGcm({ key }) });
    await fill(first);
    await first.close();
    const seen = new Map<number, Uint8Array[]>();
    let swaps = false;
    const vault = meddled(aesGcm({ key }), (sealed, context) => {
      const kind = context[0] as number;
      const others = seen.get(kind) ?? [];
      seen.set(kind, others);
      const other = others.find((one) => Buffer.compare(one, sealed) !== 0);
      if (swaps && other !== undefined) return other;
      others.push(sealed.slice());
      return sealed;
    });
    const forest = await Forest.open('a.varve', { ...honest, vault });
    const tree = forest.tree('t', words);
    expect(tree.get('key 1')).toBe(`${secret} 1`);
    expect(tree.get('longer')?.length).toBe(secret.length * 300);
    swaps = true;
    expect(() => tree.get('key 999')).toThrow(refused as Error);
    expect(() => tree.get('long')).toThrow(refused as Error);
    await forest.close();
  });

  it('never seals two values equally, nor under one context', async () => {
    const contexts = new Set<string>();
    const inner = aesGcm({ key });
    const nonces = new Set<string>();
    const vault: Vault = {
      ...inner,
      seal(plain, context) {
        const sealed = inner.seal(plain, context);
        const told = Buffer.from(context).toString('hex');
        expect(contexts.has(told)).toBe(false);
        contexts.add(told);
        nonces.add(Buffer.from(sealed.subarray(0, 12)).toString('hex'));
        return sealed;
      },
    };
    const fileSystem = memoryFileSystem();
    let sealed = 0;
    for (let opening = 0; opening < 3; opening++) {
      const forest = await Forest.open('a.varve', { fileSystem, nodeBytes: 1000, vault });
      await fill(forest);
      await forest.transaction((tx) => {
        for (let at = 0; at < 10; at++) tx.push(Buffer.from(`${secret} ${at}`));
      });
      sealed = contexts.size;
      await forest.close();
    }
    expect(sealed).toBeGreaterThan(300);
    expect(nonces.size).toBeGreaterThan(sealed);
  });

  it('needs a key of 32 bytes, and compression a level from 0 to 9', () => {
    const invalid = expect.objectContaining({ code: 'VARVE_INVALID_ARGUMENT' }) as Error;
    expect(() => aesGcm({ key: new Uint8Array(16) })).toThrow(invalid);
    expect(() => aesGcm({ key: 'a'.repeat(32) as never })).toThrow(invalid);
    expect(() => compressed({ level: 0 })).toThrow(invalid);
  });

  it('adds as many bytes as it declares', () => {
    const plain = new Uint8Array(100).fill(1);
    for (const vault of [aesGcm({ key }), aesGcm({ key, inner: aesGcm({ key }) })]) {
      const sealed = vault.seal(plain, new Uint8Array(9));
      expect(sealed.length - plain.length).toBe(vault.overheadBytes);
    }
    for (const vault of [compressed(), aesGcm({ key, inner: compressed() })]) {
      expect(vault.overheadBytes).toBe(undefined);
    }
  });
});

describe('opening a forest', () => {
  const vaults: readonly (readonly [string, () => Vault | undefined])[] = [
    ['no vault', () => undefined],
    ['aesGcm', () => aesGcm({ key })],
    ['aesGcm of another name', () => aesGcm({ key, name: 'mine' })],
    ['compressed', () => compressed()],
    ['aesGcm of compressed', () => aesGcm({ key, inner: compressed() })],
    ['aesGcm of aesGcm', () => aesGcm({ key, inner: aesGcm({ key }) })],
  ];
  const pairs = vaults.flatMap(([made, madeWith]) =>
    vaults.map(([asked, askedFor]) => ({ made, madeWith, asked, askedFor })),
  );

  it.each(pairs)('made with $made succeeds with $asked only if it is the same', async (pair) => {
    const { made, madeWith, asked, askedFor } = pair;
    const fileSystem = memoryFileSystem();
    const first = await Forest.open('a.varve', { fileSystem, vault: madeWith() });
    await first.tree('t', words).put('a', 'b');
    await first.close();
    for (const readOnly of [false, true]) {
      const opening = Forest.open('a.varve', { fileSystem, readOnly, vault: askedFor() });
      if (made === asked) {
        const forest = await opening;
        expect(forest.tree('t', words).get('a')).toBe('b');
        await forest.close();
      } else await expect(opening).rejects.toEqual(refused);
      // The lock is free again.
      const again = await Forest.open('a.varve', { fileSystem, vault: madeWith() });
      expect(again.tree('t', words).get('a')).toBe('b');
      await again.close();
    }
  });

  it('with the wrong key is refused, and leaves a store of the caller open and free', async () => {
    const fileSystem = memoryFileSystem();
    const store = await Store.open('a.varve', { fileSystem });
    const first = await Forest.on(store, { vault: aesGcm({ key }) });
    await first.tree('t', words).put('a', 'b');
    await first.close();
    const wrong = [undefined, compressed(), aesGcm({ key: new Uint8Array(32) })];
    for (const vault of wrong) {
      await expect(Forest.on(store, { vault })).rejects.toEqual(refused);
    }
    await store.put(new Uint8Array(3));
    const again = await Forest.on(store, { vault: aesGcm({ key }) });
    expect(again.tree('t', words).get('a')).toBe('b');
    await again.close();
    await store.close();
    for (const vault of wrong) {
      await expect(Forest.open('a.varve', { fileSystem, vault })).rejects.toEqual(refused);
    }
    await (await Store.open('a.varve', { fileSystem })).close();
  });

  it('with the wrong key is refused even if the vault itself does not see it', async () => {
    const masked = (mask: number): Vault => {
      const turn = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ mask);
      return { name: 'masked', seal: turn, open: turn };
    };
    const fileSystem = memoryFileSystem();
    const first = await Forest.open('a.varve', { fileSystem, vault: masked(0x5a) });
    await fill(first);
    await first.close();
    const opening = Forest.open('a.varve', { fileSystem, vault: masked(0xa5) });
    await expect(opening).rejects.toEqual(refused);
  });

  it('that holds nothing accepts any vault; a store that is not a forest accepts none', async () => {
    const fileSystem = memoryFileSystem();
    for (const vault of [undefined, aesGcm({ key }), compressed()]) {
      await (await Forest.open('a.varve', { fileSystem, vault })).close();
    }
    const store = await Store.inMemory();
    await store.updateEmbeddedHeader((session) => session.push(new Uint8Array(100).fill(7)));
    const other = expect.objectContaining({ code: 'VARVE_NOT_A_FOREST' });
    await expect(Forest.on(store, { vault: aesGcm({ key }) })).rejects.toEqual(other);
    await store.close();
  });
});

describe('a vault of the user', () => {
  it('that throws, or returns no bytes, breaks only the operations that need it', async () => {
    let fails = false;
    const vault: Vault = {
      name: 'frail',
      seal(plain) {
        if (fails) throw new Error('no');
        return plain.slice();
      },
      open: (sealed) => (fails ? (undefined as unknown as Uint8Array) : sealed.slice()),
    };
    const forest = await Forest.inMemory({ vault });
    const tree = forest.tree('t', words);
    await tree.put('a', '1');
    fails = true;
    await expect(tree.put('a', '2')).rejects.toEqual(refused);
    fails = false;
    expect(tree.get('a')).toBe('1');
    await tree.put('a', '3');
    expect(await findingsOf(forest)).toEqual([]);
    await expectNoLeak(forest);
    await forest.close();
  });

  it('compresses compressible data', async () => {
    const sizes: number[] = [];
    for (const vault of [undefined, compressed()]) {
      const forest = await Forest.inMemory({ vault });
      await fill(forest);
      sizes.push(forest.store.statistics().valueBytes);
      await forest.close();
    }
    expect(sizes[1]).toBeLessThan((sizes[0] as number) / 3);
  });
});

/**
 * The claim on the embedded header: whoever keeps a structure in the store says that its root is
 * not for others to archive.
 *
 * Invariant: without a claim every session may archive every value, as the contract says.
 */

import { describe, expect, it } from 'vitest';
import { type GrainId, Store, VarveError } from '../../../src/index.ts';

const bytes = Uint8Array.of(1, 2, 3);

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof VarveError) return error.code;
    throw error;
  }
  return undefined;
}

async function withRoot(): Promise<{ store: Store; root: GrainId }> {
  const store = await Store.inMemory();
  await store.updateEmbeddedHeader((session) => session.push(bytes));
  return { store, root: store.embeddedHeader as GrainId };
}

describe('while the embedded header is claimed', () => {
  it('no session archives its value, and other values are archived as ever', async () => {
    const { store, root } = await withRoot();
    const { id } = await store.put(bytes);
    store.claimEmbeddedHeader('a test');
    const session = store.session();
    expect(codeOf(() => session.archive(root))).toBe('VARVE_INVALID_ARGUMENT');
    session.setEmbeddedHeader(root);
    expect(codeOf(() => session.archive(root))).toBe('VARVE_INVALID_ARGUMENT');
    session.archive(id);
    await session.commit();
    expect(store.statistics().archivedValues).toBe(1);
    expect(store.embeddedHeader).toBe(root);
    await store.close();
  });

  it('a session that sets another header can archive the old one', async () => {
    const { store, root } = await withRoot();
    store.claimEmbeddedHeader('a test');
    const session = store.session();
    session.setEmbeddedHeader(session.push(bytes));
    session.archive(root);
    await session.commit();
    const next = store.embeddedHeader as GrainId;
    await store.updateEmbeddedHeader((updating, current) => {
      expect(current).toBe(next);
      updating.archive(next);
      return updating.push(bytes);
    });
    const last = store.embeddedHeader as GrainId;
    const clearing = store.session();
    clearing.setEmbeddedHeader(null);
    clearing.archive(last);
    await clearing.commit();
    expect(store.embeddedHeader).toBe(undefined);
    expect(store.statistics().archivedValues).toBe(3);
    await store.close();
  });

  it('no other caller can claim it until the claim has ended, which happens once', async () => {
    const { store, root } = await withRoot();
    const end = store.claimEmbeddedHeader('a test');
    expect(codeOf(() => store.claimEmbeddedHeader('another'))).toBe('VARVE_BUSY');
    end();
    const endOther = store.claimEmbeddedHeader('another');
    end();
    expect(codeOf(() => store.session().archive(root))).toBe('VARVE_INVALID_ARGUMENT');
    endOther();
    const session = store.session();
    session.archive(root);
    await session.commit();
    expect(codeOf(() => store.claimEmbeddedHeader(''))).toBe('VARVE_INVALID_ARGUMENT');
    await store.close();
    expect(codeOf(() => store.claimEmbeddedHeader('a test'))).toBe('VARVE_CLOSED');
  });
});

describe('while it is not claimed', () => {
  it('every session may archive its value', async () => {
    const { store, root } = await withRoot();
    const session = store.session();
    session.archive(root);
    await session.commit();
    expect(store.statistics().archivedValues).toBe(1);
    await store.close();
  });
});

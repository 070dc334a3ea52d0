/**
 * What every error carries. How each code is reached is in documents/error-table.test.ts, the details
 * of each are with the method that throws it.
 */

import { describe, expect, it } from 'vitest';
import { GrainId, memoryFileSystem, VarveError } from '../../src/index.ts';
import { WrappedFileSystem } from '../support/disks/wrapped-file-system.ts';
import { check, storePath, storesOfTest } from '../support/fixtures/store-checks.ts';

const stores = storesOfTest();

describe('a VarveError', () => {
  it('has its code, the data fields that apply, and its cause if there is one', () => {
    const cause = new Error('the disk');
    const id = GrainId.of(1, 2, 3);
    const facts = { path: 'p', offset: 4, grainId: id, batch: 5, expected: 6, actual: 7, cause };
    const full = new VarveError('VARVE_IO', 'in words', facts);
    expect(full).toMatchObject({ name: 'VarveError', code: 'VARVE_IO', message: 'in words' });
    expect(full).toMatchObject(facts);
    const bare = new VarveError('VARVE_BUSY', 'in words');
    expect(bare).toMatchObject({ path: undefined, offset: undefined, grainId: undefined });
    expect(bare).toMatchObject({ batch: undefined, expected: undefined, actual: undefined });
    expect('cause' in bare).toBe(false);
  });

  it("for a failure of the disk has the system's error as its cause", async () => {
    const disk = new WrappedFileSystem(memoryFileSystem());
    const fault = disk.fail('open', 'EACCES');
    const open = () => stores.open(storePath, { fileSystem: disk });
    const error = await check.rejects('VARVE_IO', open);
    expect(error.cause).toBe(fault.error);
    expect(error.message).toContain('EACCES');
    expect(error.message).toContain(storePath);
  });
});

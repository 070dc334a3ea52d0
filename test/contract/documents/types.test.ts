/**
 * The types of what `src/index.ts` exports, held against the contract written down a second time
 * in contract-shapes.ts. The type check of the project is what fails here; the assertions at run
 * time only hold the names.
 */

import { describe, expect, it } from 'vitest';
import * as varve from '../../../src/index.ts';
import type * as contract from './contract-shapes.ts';

/** `true` where each of the two can stand for the other. */
type Same<One, Other> = [One] extends [Other] ? ([Other] extends [One] ? true : false) : false;

function holds<_ extends true>(): void {}

/** Code that is compiled and never run. */
function compiled(_code: (store: varve.Store, session: varve.Session) => unknown): void {}

describe('the exports', () => {
  it('are those of the contract, by name', () => {
    const values = ['GrainId', 'Session', 'Store', 'VarveError', 'salvage'];
    const fileSystems = ['memoryFileSystem', 'nodeFileSystem'];
    expect(Object.keys(varve).sort()).toEqual([...values, ...fileSystems].sort());
  });

  it('are there at run time with the members of the contract', () => {
    const members = (prototype: object): string[] => Object.getOwnPropertyNames(prototype);
    expect(members(varve.Store)).toEqual(expect.arrayContaining(['open', 'inMemory']));
    expect(members(varve.Store.prototype)).toEqual(
      expect.arrayContaining([
        ...['path', 'readOnly', 'recovery', 'currentBatch', 'checkpoint', 'committing'],
        ...['embeddedHeader', 'session', 'get', 'getAsync', 'has', 'lengthOf', 'put'],
        ...['readRange', 'readRangeAsync', 'createReadStream'],
        ...['checkpointTo', 'guard', 'commitLog', 'updateEmbeddedHeader', 'statistics'],
        ...['verify', 'close'],
      ]),
    );
    expect(members(varve.Session.prototype)).toEqual(
      expect.arrayContaining([
        ...['push', 'archive', 'checkpointTo', 'setEmbeddedHeader', 'get', 'commit'],
        ...['commitSync', 'abandon', 'pushAsync', 'pushStream', 'adopt'],
      ]),
    );
    expect(Object.keys(varve.GrainId).sort()).toEqual(['format', 'from', 'of', 'parse', 'parts']);
  });

  it('are assignable to the types of the contract, and these to them', () => {
    holds<Same<varve.GrainId, contract.GrainId>>();
    holds<Same<varve.BatchId, contract.BatchId>>();
    holds<Same<varve.StoreOptions, contract.ContractStoreOptions>>();
    holds<Same<varve.VarveErrorCode, contract.ContractErrorCode>>();
    holds<Same<varve.RecoveryReport, contract.ContractRecoveryReport>>();
    holds<Same<varve.StoreMessages, contract.ContractMessages>>();
    holds<Same<varve.ReadStreamOptions, contract.ContractReadStreamOptions>>();
    holds<Same<varve.PushStreamOptions, contract.ContractPushStreamOptions>>();
    holds<Same<varve.CommitLogEntry, contract.ContractCommitLogEntry>>();
    holds<Same<varve.GrainChange, contract.ContractGrainChange>>();
    holds<Same<varve.Finding, contract.ContractFinding>>();
    holds<Same<varve.StoreStatistics, contract.ContractStoreStatistics>>();
    holds<Same<varve.CheckpointGuard, contract.ContractCheckpointGuard>>();
    holds<Same<varve.FileSystem, contract.ContractFileSystem>>();
    holds<Same<varve.LongOperation, contract.ContractLongOperation>>();
    holds<Same<varve.Progress, contract.ContractProgress>>();
    holds<Same<varve.StorageFile, contract.ContractStorageFile>>();
    expect(varve.nodeFileSystem.open).toBeTypeOf('function');
  });

  it('have the members of the contract, with its parameters and results', () => {
    const id: contract.ContractGrainId = varve.GrainId;
    const nodeFileSystem: contract.ContractFileSystem = varve.nodeFileSystem;
    const memoryFileSystem: () => contract.ContractFileSystem = varve.memoryFileSystem;
    expect([id, nodeFileSystem, memoryFileSystem]).not.toContain(undefined);
    holds<varve.VarveError extends contract.ContractVarveError ? true : false>();
    holds<typeof varve.Store extends contract.ContractStoreClass ? true : false>();
    holds<Same<varve.SalvageReport, contract.ContractSalvageReport>>();
    holds<typeof varve.salvage extends contract.ContractSalvage ? true : false>();
    holds<varve.Session extends contract.ContractSession ? true : false>();
    holds<varve.Store extends contract.ContractStore ? true : false>();
    holds<Same<Parameters<varve.Session['adopt']>, [varve.Session]>>();
    holds<ReturnType<varve.Store['session']> extends varve.Session ? true : false>();
    holds<varve.Store extends AsyncDisposable ? true : false>();
    holds<varve.Session extends Disposable ? true : false>();
  });

  it('refuse wrong calls at compile time, as the contract does', () => {
    // @ts-expect-error: the constructor is private
    compiled(() => new varve.Store());
    // @ts-expect-error: the constructor is private
    compiled(() => new varve.Session());
    // @ts-expect-error: an id is no plain bigint
    compiled((store) => store.get(1n));
    // @ts-expect-error: the options are those of the contract
    compiled(() => varve.Store.open('path', { sync: false }));
    // @ts-expect-error: null is no default
    compiled(() => varve.Store.open('path', { create: null }));
    // @ts-expect-error: the header is cleared by null
    compiled((_, session) => session.setEmbeddedHeader(undefined));
    // @ts-expect-error: text is to be encoded first
    compiled((_, session) => session.push('text'));
    // @ts-expect-error: the length of a stream is to be said
    compiled((_, session) => session.pushStream(new ReadableStream<Uint8Array>(), {}));
    compiled((store) => {
      // @ts-expect-error: what the store says of itself is not to be set
      store.currentBatch = 1;
    });
    expect(() => Reflect.construct(varve.VarveError, [])).not.toThrow();
  });

  it('accept undefined for an optional member', () => {
    const options: varve.StoreOptions = { create: undefined, signal: undefined };
    const range: Parameters<varve.Store['commitLog']>[0] = { after: undefined, follow: undefined };
    const how: Parameters<varve.Store['verify']>[0] = { deep: undefined, signal: undefined };
    const read: varve.ReadStreamOptions = { start: undefined, end: undefined, signal: undefined };
    const push: varve.PushStreamOptions = { length: 1, signal: undefined };
    expect([options, range, how, read, push]).toHaveLength(5);
  });
});

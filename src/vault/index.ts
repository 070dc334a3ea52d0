/**
 * varve/vault: vaults that seal everything that a forest stores. Encryption with AES-256-GCM, and
 * compression.
 *
 * The public door of the vaults: everything exported here is the contract, nothing else is.
 */

export { type AesGcmOptions, aesGcm } from './aes-gcm.ts';
export { type CompressedOptions, compressed } from './compressed.ts';

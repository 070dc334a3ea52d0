/**
 * The path of a `file:` URL object.
 *
 * Uses Node's own conversion if there is one, for drives and shares on Windows; otherwise the
 * decoded path of the URL. It checks properties, not the class: a URL of another realm counts too.
 * It does not accept strings, and does not check the path.
 */

import { builtinModule } from './builtin-module.ts';

interface UrlModule {
  fileURLToPath(href: string): string;
}
interface UrlObject {
  readonly href: string;
  readonly protocol: string;
  readonly host: string;
  readonly pathname: string;
}

function isUrlObject(value: unknown): value is UrlObject {
  if (typeof value !== 'object' || value === null) return false;
  const parts = value as Record<string, unknown>;
  return ['href', 'protocol', 'host', 'pathname'].every((part) => typeof parts[part] === 'string');
}

/** Undefined if `value` is no URL object, or names no file of this machine. */
export function pathOfFileUrl(value: unknown): string | undefined {
  if (!isUrlObject(value) || value.protocol !== 'file:') return undefined;
  const urls = builtinModule<UrlModule>('url');
  try {
    if (urls !== undefined) return urls.fileURLToPath(value.href);
    // A slash written as %2F would become a folder separator.
    const isPlain = value.host === '' && !/%2f/i.test(value.pathname);
    return isPlain ? decodeURIComponent(value.pathname) : undefined;
  } catch {
    // The conversion refuses it: another host, or an invalid escape.
    return undefined;
  }
}

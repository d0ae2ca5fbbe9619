import type { Kysely } from 'kysely';
import type { Event } from '../event.ts';
import type { SourceReply, SourceRequest } from '../source.ts';
import type { TestContextOptions } from './context.ts';
import type { Answer } from './fault-server.ts';

export interface KitOptions<Config> {
  /** The configuration that the plugin's behaviour is tried with; its first example unless given. */
  readonly config?: Config;
  /** How long a case may take, in milliseconds: 5000 unless given. */
  readonly deadlineMs?: number;
  /**
   * Values for secret fields by their place in the configuration (`/secret`, `/auth/token`), where neither the example's own value
   * nor a random text will do. At least 8 characters.
   */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Configurations that the schema or `validate` must refuse. */
  readonly wrongConfigs?: readonly unknown[];
  /** Doors of the context that the plugin needs otherwise than `testContext()` makes them. */
  readonly context?: Omit<TestContextOptions, 'database'>;
  /** The store of a plugin that declares `requires: ['database']`; migrated and empty of events. */
  readonly database?: () => Kysely<unknown> | Promise<Kysely<unknown>>;
  /** Cases that the plugin is let off, by name, each with the reason. */
  readonly waive?: Readonly<Record<string, string>>;
}

export interface TransformKitOptions<Config> extends KitOptions<Config> {
  /** Events that the configuration does something to, beside the kit's own. */
  readonly samples?: readonly Event[];
}

/** A request that the source's clients really send, and what is to be found in it. */
export interface RequestSample {
  readonly request: SourceRequest;
  /** The API key that `credential` finds; undefined when there is none. */
  readonly credential: string | undefined;
  readonly receipt: 'accept' | 'reject' | 'challenge';
}

export interface SourceKitOptions<Config> extends KitOptions<Config> {
  /** For a push source: at least one that is accepted. */
  readonly samples?: readonly RequestSample[];
  /**
   * How this source's clients read a reply: whether it tells them that the draft at `index` is stored. By default a reply tells so unless
   * its status is 400 or above, or its body contains the code or the message of the draft's error.
   */
  readonly claims?: (reply: SourceReply, index: number) => boolean;
}

export interface HttpDestinationOptions<Config> {
  /** A configuration that delivers to this address, which is on loopback. */
  config(url: string): Config;
  /** What the receiver answers when all is well; `200` with an empty object unless given. */
  readonly success?: Answer;
}

export interface DestinationKitOptions<Config> extends KitOptions<Config> {
  /** Events beside the kit's own. */
  readonly samples?: readonly Event[];
  /** A configuration that is valid and cannot work, for a destination that has no `http` here: `check` must say so. */
  readonly unreachable?: Config;
  /** For destinations that speak HTTP: every fault of a receiver is tried, on a real server. */
  readonly http?: HttpDestinationOptions<Config>;
}

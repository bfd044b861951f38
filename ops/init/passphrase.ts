/** The passphrase that encrypts a stack's secrets. */
import { openStackConfiguration } from "../engine/choose.ts";
import type { StackConfigurationEntries, StackConfigurationStore } from "../engine/stack-configuration.ts";
import { type StackEngineArguments, StackEngineError } from "../engine/stack-engine.ts";
import type { Dialogue } from "./terminal.ts";

/** What Pulumi takes it from. */
export const passphraseVariable = "PULUMI_CONFIG_PASSPHRASE";
/** Of a new one: whoever has the file can try as long as they like. */
const leastLength = 12;

/** An open configuration, and what it held. */
export interface OpenedConfiguration {
  store: StackConfigurationStore;
  found: StackConfigurationEntries;
  /** Whether a passphrase was chosen just now. */
  isNew: boolean;
}

/**
 * Opens a stack's configuration, and asks for its passphrase where the environment has none.
 * @param dialogue Default: nobody is asked, and what is encrypted stays so
 * @throws StackEngineError also for a wrong passphrase of the environment
 */
export async function openWithPassphrase(
  args: StackEngineArguments,
  dialogue: Dialogue | undefined,
): Promise<OpenedConfiguration> {
  const store = await openStackConfiguration(args);
  if (dialogue === undefined || store.passphrase === "none" || store.passphrase === "given")
    return { store, found: await store.read(), isNew: false };
  const isNew = store.passphrase === "to be chosen";
  for (;;) {
    const passphrase = isNew ? await choosePassphrase(dialogue) : await existing(dialogue);
    const opened = await openStackConfiguration({
      ...args,
      environment: { ...args.environment, [passphraseVariable]: passphrase },
    });
    try {
      return { store: opened, found: await opened.read(), isNew };
    } catch (error) {
      if (!(error instanceof StackEngineError)) throw error;
      dialogue.say(`  ${error.message}`);
    }
  }
}

function existing(dialogue: Dialogue): Promise<string> {
  dialogue.say("The stack's secrets are encrypted.");
  return dialogue.ask("Their passphrase: ", true);
}

async function choosePassphrase(dialogue: Dialogue): Promise<string> {
  dialogue.say(
    "A passphrase encrypts the stack's secrets in its file and in Pulumi's state. Everyone and everything that opens or closes\n" +
      `the stack needs it, in ${passphraseVariable}. Lost is lost: keep it where your team keeps such things.`,
  );
  for (;;) {
    const first = await dialogue.ask(`A new passphrase, ${leastLength} characters or more: `, true);
    if (first.length < leastLength) {
      dialogue.say(`  expected ${leastLength} characters or more`);
      continue;
    }
    if ((await dialogue.ask("Once more: ", true)) === first) return first;
    dialogue.say("  the two are not the same");
  }
}

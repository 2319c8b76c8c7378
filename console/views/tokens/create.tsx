import { useMemo, useState } from 'preact/hooks';
import type { CreatedToken } from '../../../package/client/types.ts';
import { api, useAction, useReading } from '../../api.ts';
import { useViewer } from '../../caller.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Read } from '../../parts/lists.tsx';
import { notice } from '../../parts/notices.tsx';
import { ActionForm } from '../../parts/action-form.tsx';
import { lifetimeChoices, lifetimeOf, usualLifetime } from './durations.ts';
import { ChoiceField, problemsOf, ScopesField, scopesOf, TextField } from '../../parts/fields.tsx';
import { Minted } from './minted.tsx';
import { ceilingOf, longestTtl, presetsOf, rolesAllowing, rolesToMint } from './rights.ts';

const FIELDS = ['name', 'description', 'metadata.description', 'scopes', 'preset', 'expires_in'] as const;

interface CreateProps {
  readonly onClose: () => void;
  /** It is there, and its secret may be shown still. */
  readonly onMinted: () => void;
}

/** Mints a token. Only what a role of the viewer allows is offered, and the service decides. */
export function CreateDialog({ onClose, onMinted }: CreateProps) {
  const [minted, setMinted] = useState<CreatedToken | null>(null);
  const workspaces = useReading('workspaces', async (signal) => await api.workspaces({ signal }));
  const stored = (): void => {
    notice(`${minted?.name ?? 'The token'} is minted.`);
    onClose();
  };
  return (
    <Dialog
      title={minted === null ? 'Create a token' : 'Store the secret now'}
      onClose={onClose}
      isDismissible={minted === null}
    >
      {minted !== null ? (
        <Minted secret={minted.token} name={minted.name} onStored={stored} />
      ) : (
        <Read reading={workspaces} what="Reading your workspaces">
          {(data) => (
            <CreateForm
              workspaces={data.map(({ uuid, name }) => ({ value: uuid, title: name }))}
              onClose={onClose}
              onMinted={(token) => {
                setMinted(token);
                onMinted();
              }}
            />
          )}
        </Read>
      )}
    </Dialog>
  );
}

interface FormProps {
  readonly workspaces: readonly { readonly value: string; readonly title: string }[];
  readonly onClose: () => void;
  readonly onMinted: (token: CreatedToken) => void;
}

function CreateForm({ workspaces, onClose, onMinted }: FormProps) {
  const viewer = useViewer();
  // One key for the whole dialog: a second try, after an answer that was lost, mints nothing new.
  const [idempotencyKey] = useState(() => crypto.randomUUID());
  const offered = workspaces.filter(({ value }) => rolesToMint(viewer, value).length > 0);
  const [workspace, setWorkspace] = useState(offered[0]?.value ?? '');
  const [name, setName] = useState('');
  const [description, setDescription] = useState('');
  const [preset, setPreset] = useState('');
  const [scopeText, setScopeText] = useState('');
  const roles = useMemo(() => rolesToMint(viewer, workspace), [viewer, workspace]);
  const presets = presetsOf(roles);
  const scopes = preset === '' ? scopesOf(scopeText) : (presets[preset] ?? []);
  const maxSeconds = longestTtl(rolesAllowing(roles, scopes));
  const [chosenLifetime, setLifetime] = useState(usualLifetime(longestTtl(roles)));
  const choices = lifetimeChoices(maxSeconds);
  const isOffered = choices.some(({ value }) => value === chosenLifetime);
  const lifetime = isOffered ? chosenLifetime : usualLifetime(maxSeconds);

  const minting = useAction(async () => {
    const grant = preset === '' ? { scopes } : { preset };
    const about = description.trim() === '' ? {} : { description };
    const token = { name, ...about, workspace_uuid: workspace, ...grant, ...lifetimeOf(lifetime) };
    onMinted(await api.tokens.create(token, { idempotencyKey }));
  });
  const { failure } = minting;
  const of = (...names: readonly string[]): readonly string[] => problemsOf(failure, ...names);
  if (offered.length === 0) return <p>None of your roles may create a token in a workspace that is known here.</p>;
  return (
    <ActionForm
      action={minting}
      submit={name === '' ? 'Create the token' : `Create ${name}`}
      shown={FIELDS}
      onCancel={onClose}
    >
      <TextField
        label="Name"
        value={name}
        onInput={setName}
        problems={of('name')}
        hint="What uses it, such as nightly-sync."
        isRequired
      />
      <TextField
        label="Description (may be empty)"
        value={description}
        onInput={setDescription}
        problems={of('description', 'metadata.description')}
        isLong
      />
      {offered.length > 1 && (
        <ChoiceField label="Workspace" value={workspace} choices={offered} onChoose={setWorkspace} />
      )}
      {Object.keys(presets).length > 0 && (
        <ChoiceField
          label="What it may do"
          value={preset}
          choices={[
            { value: '', title: 'Scopes that you choose' },
            ...Object.entries(presets).map(([value, held]) => ({ value, title: `${value}: ${held.join(', ')}` })),
          ]}
          onChoose={setPreset}
          problems={of('preset')}
        />
      )}
      {preset === '' && (
        <ScopesField ceiling={ceilingOf(roles)} value={scopeText} onInput={setScopeText} problems={of('scopes')} />
      )}
      <ChoiceField
        label="Expires after"
        value={lifetime}
        choices={choices}
        onChoose={setLifetime}
        problems={of('expires_in')}
      />
    </ActionForm>
  );
}

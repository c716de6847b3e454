import { Icon } from "@/components/icon";
import { sizeText } from "@/lib/size";

type Props = {
  id: string;
  bytes: number;
  maxBytes: number;
  /** Whether the text is kept beside its field, which does not show it. */
  isHeld: boolean;
  onShorten: () => void;
  onRemove: () => void;
};

/** Why a text cannot be sent; it stays where it is, to be shortened. The size changes with each key: it is not read. */
export function SizeNote({ id, bytes, maxBytes, isHeld, onShorten, onRemove }: Props) {
  return (
    <div className="size-note">
      <Icon name="alert" />
      <p id={id} role="alert">
        Too long to send<span aria-hidden="true">: {sizeText(bytes)}</span>. The limit is {sizeText(maxBytes)};{" "}
        {isHeld ? "so long a text is kept, but not shown." : "shorten the message, or send it in parts."}
      </p>
      {isHeld && (
        <span className="size-actions">
          <button type="button" onClick={onShorten}>
            Keep the first {sizeText(maxBytes)}
          </button>
          <button type="button" onClick={onRemove}>
            Remove it
          </button>
        </span>
      )}
    </div>
  );
}

import { Icon } from "@/components/icon";
import { sizeText } from "@/lib/size";

/** Why a text cannot be sent; it stays where it is, to be shortened. The size changes with each key: it is not read. */
export function SizeNote({ id, bytes, maxBytes }: { id: string; bytes: number; maxBytes: number }) {
  return (
    <p className="size-note" id={id} role="alert">
      <Icon name="alert" />
      <span>
        Too long to send<span aria-hidden="true">: {sizeText(bytes)}</span>. The limit is {sizeText(maxBytes)}; shorten
        the message, or send it in parts.
      </span>
    </p>
  );
}

import { Icon } from "@/components/icon";

type Props = {
  /** What there are several of, as "answer". */
  of: string;
  shown: number;
  count: number;
  onShow: (place: number) => void;
};

/** Leads through the versions of a message. */
export function Pager({ of, shown, count, onShow }: Props) {
  return (
    <span className="pager" role="group" aria-label={`Versions of this ${of}`}>
      <button
        type="button"
        className="quiet small"
        aria-label={`Older ${of}`}
        disabled={shown === 0}
        onClick={() => onShow(shown - 1)}
      >
        <Icon name="left" />
      </button>
      <span aria-live="polite">
        {shown + 1} / {count}
      </span>
      <button
        type="button"
        className="quiet small"
        aria-label={`Newer ${of}`}
        disabled={shown === count - 1}
        onClick={() => onShow(shown + 1)}
      >
        <Icon name="right" />
      </button>
    </span>
  );
}

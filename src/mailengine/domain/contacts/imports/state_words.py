"""What programs and people write in a column that tells who is subscribed, and how they head it.

Cells are compared as `word_of` has them, headers as `normalise_header`. No negation is guessed: what stands here is all
that is understood.
"""

# ruff: noqa: E501 - tables of words

import re
import unicodedata
from functools import lru_cache

from mailengine.domain.contacts.imports.headers import normalise_header
from mailengine.models import ContactState


@lru_cache(1 << 12)  # there are few
def word_of(cell: str) -> str:
    """`Opted-Out`, `opt_out ` and `Bounced (hard)` as `opted out`, `opt out`, `bounced`."""
    folded = unicodedata.normalize("NFKC", cell).casefold().strip()
    return " ".join(
        re.sub(r"[-_\s]+", " ", re.sub(r"(?<=\S)\s*\(.*\)$", "", folded, flags=re.DOTALL)).split()
    )


_STATES: dict[ContactState, str] = {
    ContactState.SUBSCRIBED: """
        subscribed, subscriber, enabled, active, confirmed, opted in, optin, opt in, yes,
        abonniert, angemeldet, bestätigt, aktiv, abonné, abonnée, inscrit, inscrite, actif, active, suscrito, suscrita, activo,
        iscritto, iscritta, attivo, ingeschreven, geabonneerd, aangemeld, actief, inscrito, inscrita, assinante, ativo,
        prenumererar, prenumerant, tilmeldt, abonnerer, påmeldt, tilaaja, tilannut, zapisany, subskrybuje, aktywny,
        přihlášen, přihlášený, odebírá, prihlásený, feliratkozott, feliratkozva, abonat, activ, abone, aktif, pretplaćen, prijavljen,
        подписан, подписана, активен, підписаний, підписана, абониран, εγγεγραμμένος, ενεργός,
        مشترك, מנוי, רשום, مشترک, 購読中, 配信中, 登録済み, 已订阅, 订阅, 已訂閱, 訂閱, 구독, 구독 중, 구독중, 수신동의, đã đăng ký
    """,
    ContactState.UNSUBSCRIBED: """
        unsubscribed, unsubscribe, unsub, blocklisted, blacklisted, disabled, opted out, optout, opt out, do not email, do not contact,
        do not mail, removed, deleted, cancelled, canceled, no,
        abgemeldet, ausgetragen, abbestellt, désabonné, désabonnée, désinscrit, désinscrite, desabonné, dado de baja, dada de baja, baja,
        de baja, desuscrito, disiscritto, disiscritta, cancellato, uitgeschreven, afgemeld, descadastrado, descadastrada, desinscrito,
        inscrição cancelada, avregistrerad, avprenumererad, avslutad, afmeldt, frameldt, avmeldt, perunut, peruutettu, wypisany, wypisana,
        odhlášen, odhlášený, odhlásený, leiratkozott, leiratkozva, dezabonat, dezabonată, abonelikten çıktı, abonelikten çıkmış,
        odjavljen, odjavljena, отписан, отписана, отписался, отписалась, відписаний, відписана, відписався, отписал се,
        διαγραμμένος, απεγγεγραμμένος, ألغى الاشتراك, إلغاء الاشتراك, הוסר, לא מנוי, لغو اشتراک,
        購読解除, 配信停止, 登録解除, 退会, 已退订, 退订, 取消订阅, 已取消订阅, 已退訂, 退訂, 取消訂閱, 구독취소, 구독 취소, 수신거부, 수신 거부,
        hủy đăng ký, đã hủy đăng ký
    """,
    ContactState.BOUNCED: """
        bounced, bounce, cleaned, hard bounce, hard bounced, hardbounced, hardbounce, bounced hard, undeliverable, invalid,
        unzustellbar, rebond, rebote, rebotado, rimbalzato, devolvido, odbity, недоставлен, 已退回, 退信
    """,
    ContactState.COMPLAINED: """
        complained, complaint, spam, abuse, spam complaint, spam complained, marked as spam, reported spam, junk, beschwerde, plainte,
        жалоба, 投诉, 投訴
    """,
    ContactState.UNCONFIRMED: """
        unconfirmed, pending, nonsubscribed, non subscribed, not subscribed, never subscribed, unverified, not confirmed,
        unbestätigt, nicht bestätigt, ausstehend, non confirmé, en attente, no confirmado, sin confirmar, pendiente, non confermato,
        in attesa, onbevestigd, niet bevestigd, não confirmado, pendente, obekräftad, niepotwierdzony, nepotvrzený, nepotvrdený,
        nem megerősített, neconfirmat, onaylanmamış, не подтвержден, не подтверждён, не подтверждена, не підтверджений, 未確認, 未确认, 미확인
    """,
    ContactState.INACTIVE: "inactive, inaktiv, inactif, inactivo, inattivo, inactief, inativo, nieaktywny, неактивен",
    ContactState.SUPPRESSED: "suppressed, suppression",
}
STATES = {word_of(word): state for state, words in _STATES.items() for word in words.split(",")}
_STAYS = frozenset({ContactState.SUBSCRIBED, ContactState.UNCONFIRMED, ContactState.INACTIVE})
# Said of customers, orders and accounts as well: where other words stand beside them, a column is not one of states.
_ANYTHING = """
    enabled, active, confirmed, yes, bestätigt, aktiv, actif, activo, attivo, actief, ativo, aktywny, activ, aktif,
    активен, ενεργός, disabled, removed, deleted, cancelled, canceled, no, cancellato, avslutad, perunut, peruutettu,
    baja, invalid, devolvido, pending, unverified, not confirmed, ausstehend, en attente, pendiente, in attesa,
    pendente, inactive, inaktiv, inactif, inactivo, inattivo, inactief, inativo, nieaktywny, неактивен, rebond,
    rebote, junk, spam, abuse, complaint, beschwerde, plainte, жалоба
"""
_OF_ANYTHING = frozenset(word_of(word) for word in _ANYTHING.split(","))
OF_SUBSCRIPTIONS = frozenset(STATES) - _OF_ANYTHING
LEAVING = frozenset(word for word in OF_SUBSCRIPTIONS if STATES[word] not in _STAYS)


def _headers(text: str) -> frozenset[str]:
    return frozenset(normalise_header(word) for word in text.split(","))


# A column headed so is anything: its cells tell.
STATE_HEADERS = _headers(
    """
    status, state, subscription, subscription state, subscribe status, newsletter status, mailing status, list status, opt-in status,
    Anmeldestatus, Abonnement, Abostatus, statut, statut d'abonnement, état, estado, estado de suscripción, estado da subscrição,
    suscripción, stato, stato iscrizione, iscrizione, inschrijfstatus, inschrijving, situação, inscrição, prenumeration, tila, staða,
    stan, stav, állapot, státusz, stare, stare abonament, durum, abonelik durumu, stanje, olek, būsena, statuss,
    статус, состояние, подписка, статус подписки, стан, підписка, състояние, абонамент, κατάσταση, συνδρομή, الحالة, حالة,
    حالة الاشتراك, סטטוס, מצב, وضعیت, ステータス, 状態, 購読状態, 配信状態, 状态, 订阅状态, 狀態, 訂閱狀態, 상태, 구독 상태, सदस्यता, สถานะ, trạng thái
    """
)
SUBSCRIBED_HEADERS = _headers(
    """
    subscribed, is subscribed, subscriber, opt-in, optin, opted in, is opted in, email opt in, marketing opt in, newsletter, newsletter opt in,
    newsletter subscribed, subscribed to newsletter, subscribe, email consent, marketing consent, newsletter consent, accepts marketing,
    accepts email marketing, email marketing consent, email permission, permission,
    abonniert, angemeldet, Newsletter abonniert, Newsletter-Anmeldung, Einwilligung, Werbeeinwilligung, abonné, inscrit,
    inscrit à la newsletter, consentement, suscrito, acepta marketing, consentimiento, boletín, iscritto, consenso, consenso marketing,
    ingeschreven, aangemeld, nieuwsbrief, toestemming, inscrito, consentimento, prenumererar, nyhetsbrev, samtykke, samtycke, tilmeldt, påmeldt,
    uutiskirje, zapisany, zgoda, zgoda marketingowa, přihlášen, souhlas, súhlas, feliratkozott, hozzájárulás, hírlevél, abonat, abone, prijavljen,
    подписан, согласие, рассылка, підписаний, згода, съгласие, συγκατάθεση, 購読, メルマガ, 配信希望, 订阅, 訂閱, 구독, 수신동의
    """
)

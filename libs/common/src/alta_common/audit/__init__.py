"""The audit trail: who did what, from where, when; and the proof that no row was changed or removed."""

from alta_common.audit.chain import AuditTrail
from alta_common.audit.entry import AuditEntry, AuditRecord, AuditVerification
from alta_common.audit.table import create_audit

__all__ = ["AuditEntry", "AuditRecord", "AuditTrail", "AuditVerification", "create_audit"]

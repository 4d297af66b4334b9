"""The names of months in 42 languages, as Babel 2.18 takes them from the Unicode CLDR."""

ENGLISH = (
    "January February March April May June July August September October November December"
).split()
_NAMES = """
enero يناير janvier জানুয়ারী janeiro января январь januari جنوری januar जानेवारी జనవరి janairu
ocak ஜனவரி ژانویهٔ ژانویه gennaio stycznia styczeń ledna leden січня січень जनवरी tammikuuta
tammikuu január ianuarie ιανουαρίου ιανουάριος gener januára януари ינואר มกราคม જાન્યુઆરી ਜਨਵਰੀ
ജനുവരി ಜನವರಿ jénúári|
febrero فبراير février ফেব্রুয়ারী fevereiro февраля февраль februari فروری februar फेब्रुवारी
ఫిబ్రవరి faburairu şubat pebrero பிப்ரவரி فوریهٔ فوریه febbraio lutego luty února únor лютого
лютий फ़रवरी helmikuuta helmikuu február februarie φεβρουαρίου φεβρουάριος febrer februára
февруари פברואר กุมภาพันธ์ ફેબ્રુઆરી ਫ਼ਰਵਰੀ ഫെബ്രുവരി ಫೆಬ್ರವರಿ fẹ́búári|
marzo مارس mars মার্চ março марта март maret مارچ märz मार्च మార్చి maris mart machi marso
மார்ச் marca marzec března březen березня березень maart mac marts maaliskuuta maaliskuu március
martie μαρτίου μάρτιος març marec מרץ มีนาคม માર્ચ ਮਾਰਚ മാർച്ച് ಮಾರ್ಚ್ mach|
abril أبريل avril এপ্রিল апреля апрель اپریل एप्रिल ఏప్రిల్ afirilu nisan aprili ஏப்ரல் آوریل
aprile kwietnia kwiecień dubna duben квітня квітень अप्रैल huhtikuuta huhtikuu április aprilie
απριλίου απρίλιος apríla apríl април אפריל เมษายน એપ્રિલ ਅਪ੍ਰੈਲ ഏപ്രിൽ ಏಪ್ರಿಲ್ éprel|
mayo مايو mai মে maio мая май mei مئی मे మే mayu mayıs மே مهٔ مه maggio maja maj května květen
травня травень मई toukokuuta toukokuu május μαΐου μάιος maig mája máj מאי พฤษภาคม મે ਮਈ മേയ് ಮೇ
mee|
junio يونيو juin জুন junho июня июнь juni جون जून జూన్ yuni haziran hunyo ஜூன் ژوئن giugno
czerwca czerwiec června červen червня червень jun kesäkuuta kesäkuu június iunie ιουνίου ιούνιος
juny júna jún юни יוני มิถุนายน જૂન ਜੂਨ ജൂൺ ಜೂನ್|
julio يوليو juillet জুলাই julho июля июль juli جولائی जुलै జులై yuli temmuz julai hulyo ஜூலை
ژوئیهٔ ژوئیه luglio lipca lipiec července červenec липня липень जुलाई heinäkuuta heinäkuu július
iulie ιουλίου ιούλιος juliol júla júl юли יולי กรกฎาคม જુલાઈ ਜੁਲਾਈ ജൂലൈ ಜುಲೈ|
agosto أغسطس août আগস্ট августа август agustus اگست ऑगस्ट ఆగస్టు agusta ağustos agosti ஆகஸ்ட்
اوت sierpnia sierpień srpna srpen серпня серпень augustus अगस्त ogos augusti elokuuta elokuu
augusztus αυγούστου αύγουστος agost augusta אוגוסט สิงหาคม ઑગસ્ટ ਅਗਸਤ ഓഗസ്റ്റ് ಆಗಸ್ಟ್ ọgọst|
septiembre سبتمبر septembre সেপ্টেম্বর setembro сентября сентябрь ستمبر सप्टेंबर సెప్టెంబర్
satumba eylül septemba setyembre செப்டம்பர் سپتامبر settembre września wrzesień září вересня
вересень सितंबर syyskuuta syyskuu szeptember septembrie σεπτεμβρίου σεπτέμβριος setembre
septembra септември ספטמבר กันยายน સપ્ટેમ્બર ਸਤੰਬਰ സെപ്റ്റംബർ ಸೆಪ್ಟೆಂಬರ್ sẹptẹ́mba|
octubre أكتوبر octobre অক্টোবর outubro октября октябрь oktober اکتوبر ऑक्टोबर అక్టోబర్ oktoba
ekim oktubre அக்டோபர் اکتبر ottobre października październik října říjen жовтня жовтень अक्टूबर
lokakuuta lokakuu október octombrie οκτωβρίου οκτώβριος októbra октомври אוקטובר ตุลาคม ઑક્ટોબર
ਅਕਤੂਬਰ ഒക്‌ടോബർ ಅಕ್ಟೋಬರ್ ọktóba|
noviembre نوفمبر novembre নভেম্বর novembro ноября ноябрь نومبر नोव्हेंबर నవంబర్ nuwamba kasım
novemba nobyembre நவம்பர் نوامبر listopada listopad listopadu листопада листопад नवंबर
marraskuuta marraskuu noiembrie νοεμβρίου νοέμβριος novembra ноември נובמבר พฤศจิกายน નવેમ્બર
ਨਵੰਬਰ നവംബർ ನವೆಂಬರ್ nọvẹ́mba|
diciembre ديسمبر décembre ডিসেম্বর dezembro декабря декабрь desember دسمبر dezember डिसेंबर
డిసెంబర్ disamba aralık desemba disyembre டிசம்பர் دسامبر dicembre grudnia grudzień prosince
prosinec грудня грудень दिसंबर disember joulukuuta joulukuu decembrie δεκεμβρίου δεκέμβριος
desembre decembra декември דצמבר ธันวาคม ડિસેમ્બર ਦਸੰਬਰ ഡിസംബർ ಡಿಸೆಂಬರ್ disẹ́mba
"""
FOREIGN = {
    name: number
    for number, names in enumerate(_NAMES.split("|"), start=1)
    for name in names.split()
}
"""Each name in lower case and its month, the English names left out."""
